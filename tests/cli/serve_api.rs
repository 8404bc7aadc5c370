//! The API from a stranger's side: roles, hostile requests, and the one form of errors.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::House;
use crate::server::{OPEN, Server, TOKENS, command, read};

/// A token with these roles.
fn token(house: &House, name: &str, roles: &[&str]) -> String {
    let mut arguments = vec!["admin", "tokens", "add", name, "--config", "noctule.yaml"];
    for role in roles {
        arguments.extend(["--role", role]);
    }
    house.noctule(&arguments).expect(0).stdout.trim().to_owned()
}

/// Whether a token with this role may do what needs that one, on the model `feed`.
fn may(role: &str, need: &str) -> bool {
    match need {
        "read" => true,
        "operate" => role == "operate",
        "promote:{model}" => matches!(role, "promote:feed" | "promote:*"),
        other => panic!("an unknown role {other}"),
    }
}

#[test]
fn every_endpoint_asks_every_role_for_what_the_description_says() {
    let house = House::new();
    house.file("noctule.yaml", TOKENS);
    house.file("dags/job.yaml", command("job", "", "[\"true\"]"));
    let roles = ["read", "operate", "promote:feed", "promote:other", "promote:*"];
    let tokens: Vec<_> = roles.iter().map(|role| (*role, token(&house, role, &[role]))).collect();
    let server = Server::start(&house, TOKENS);
    let described = server.get("/api/v1/openapi.json").json();
    let mut asked = 0;
    for (path, item) in described["paths"].as_object().unwrap() {
        let concrete = path
            .replace("{run}", "rabcdefghijkl")
            .replace("{pipeline}", "nothing")
            .replace("{step}", "nothing")
            .replace("{model}", "feed")
            .replace("{attempt}", "1")
            .replace("{version}", "1")
            .replace("{backfill}", "1");
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let body = json!({});
            let body = (method == "POST").then_some(&body);
            let without = server.ask(&method, &concrete, &[], body).status;
            let Some(need) = operation["x-noctule-role"].as_str() else {
                assert!(matches!(without, 200 | 503), "{method} {path}: {without}");
                continue;
            };
            assert_eq!(without, 401, "{method} {path} without a token");
            for (role, token) in &tokens {
                let bearer = format!("Bearer {token}");
                let answer = server.ask(&method, &concrete, &[("Authorization", &bearer)], body);
                let refused = answer.status == 403;
                assert_eq!(refused, !may(role, need), "{method} {path} as {role}: {}", answer.status);
                assert!(answer.status < 500, "{method} {path} as {role}: {}", answer.text());
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "only {asked} were asked");
    let operate = format!("Bearer {}", tokens[1].1);
    let audit =
        server.ask("GET", "/api/v1/audit?who=read&action=api.refused", &[("Authorization", &operate)], None);
    let audit = audit.json();
    let refused = audit["audit"].as_array().unwrap();
    assert!(refused.iter().any(|row| row["about"] == "POST /api/v1/models/feed/promote"), "{audit:#}");
}

#[test]
fn a_token_is_shown_once_kept_as_a_hash_and_refused_when_it_is_revoked() {
    let house = House::new();
    house.file("noctule.yaml", TOKENS);
    house.file("dags/job.yaml", command("job", "", "[\"true\"]"));
    let clear = token(&house, "ann", &["read", "operate"]);
    let server = Server::start(&house, TOKENS);
    let missing = server.noctule(&["runs"]).expect(2);
    assert!(missing.stderr.contains("NOCTULE_TOKEN"), "{}", missing.stderr);
    house.file("token", format!("{clear}\n"));
    let given = ["--token-file", "token"];
    server.noctule(&[&given[..], &["runs"]].concat()).expect(0);
    let run = server.noctule(&[&given[..], &["run", "job", "--json"]].concat()).expect(0).json();
    assert_eq!(run["made_from"]["by"], "ann");
    let denied =
        server.noctule(&[&given[..], &["models", "unpin", "feed", "--reason", "x"]].concat()).expect(2);
    assert!(denied.stderr.contains("promote:feed"), "{}", denied.stderr);
    for entry in std::fs::read_dir(house.path().join(".noctule")).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let found = bytes.windows(clear.len()).any(|window| window == clear.as_bytes());
        assert!(!found, "{} holds the token", entry.path().display());
    }
    let listed = house.noctule(&["admin", "tokens", "list", "--config", "noctule.yaml"]).expect(0).stdout;
    assert!(
        listed.contains("ann") && listed.contains("operate, read") || listed.contains("read, operate"),
        "{listed}"
    );
    house.noctule(&["admin", "tokens", "revoke", "ann", "--config", "noctule.yaml"]).expect(0);
    let revoked = server.noctule(&[&given[..], &["runs"]].concat()).expect(2);
    assert!(revoked.stderr.contains("revoked"), "{}", revoked.stderr);
}

#[test]
fn open_access_is_refused_beyond_this_machine() {
    let house = House::new();
    house.file("noctule.yaml", "serve: {pipelines: dags, listen: \"0.0.0.0:0\", access: open}\n");
    std::fs::create_dir_all(house.path().join("dags")).unwrap();
    let refused = house.noctule(&["serve", "--config", "noctule.yaml"]).expect(2);
    assert!(refused.stderr.contains("loopback"), "{}", refused.stderr);

    let server = Server::start(&house, OPEN);
    let foreign = server.ask("GET", "/api/v1/runs", &[("Host", "evil.example")], None);
    assert!(matches!(foreign.status, 400 | 403), "{}", foreign.text());
}

#[test]
fn what_is_not_there_is_said_so_in_the_one_form() {
    let house = House::new();
    let server = Server::start(&house, OPEN);
    let cases: &[(&str, &str, Option<Value>, u16, &str)] = &[
        ("GET", "/api/v1/runs/rzzzzzzzzzzzz", None, 404, "no-such-run"),
        ("GET", "/api/v1/runs/last", None, 404, "no-such-run"),
        ("GET", "/api/v1/runs/..%2F..%2Fetc%2Fpasswd", None, 404, "no-such-run"),
        ("GET", "/api/v1/runs/';DROP%20TABLE%20runs", None, 404, "no-such-run"),
        ("GET", "/api/v1/runs/rzzzzzzzzzzzz/steps/..%2F..%2Fx/attempts/1/log", None, 400, "invalid"),
        ("GET", "/api/v1/runs/rzzzzzzzzzzzz/steps/x/attempts/0/log", None, 400, "invalid"),
        ("GET", "/api/v1/runs?limit=0", None, 400, "invalid"),
        ("GET", "/api/v1/runs?limit=many", None, 400, "invalid"),
        ("GET", "/api/v1/runs?cursor=nonsense", None, 400, "invalid"),
        ("GET", "/api/v1/runs?status=sleepy", None, 400, "invalid"),
        ("GET", "/api/v1/runs?color=red", None, 400, "invalid"),
        ("GET", "/api/v1/pipelines/nothing", None, 404, "no-such-pipeline"),
        ("GET", "/api/v1/pipelines/%00", None, 400, "invalid"),
        ("GET", "/api/v1/pipelines/x/schedule?after=9999999999999", None, 400, "invalid"),
        ("GET", "/api/v1/models/nothing/versions", None, 404, "no-such-model"),
        ("GET", "/api/v1/models/nothing/versions/99999999999", None, 400, "invalid"),
        ("GET", "/api/v1/backfills/7", None, 404, "no-such-backfill"),
        ("GET", "/api/v1/backfills/18446744073709551616", None, 400, "invalid"),
        ("GET", "/nothing", None, 404, "no-such-path"),
        ("GET", "/api/v1/nothing", None, 404, "no-such-path"),
        ("DELETE", "/api/v1/runs", None, 405, "no-such-method"),
        ("BREW", "/api/v1/runs", None, 405, "no-such-method"),
        ("POST", "/api/v1/runs/rzzzzzzzzzzzz/cancel", Some(json!([])), 400, "invalid"),
        ("POST", "/api/v1/runs/rzzzzzzzzzzzz/cancel", Some(json!({"at_once": "yes"})), 400, "invalid"),
        ("POST", "/api/v1/runs/rzzzzzzzzzzzz/cancel", Some(json!({"color": 1})), 400, "invalid"),
        ("POST", "/api/v1/runs/rzzzzzzzzzzzz/cancel", Some(json!({"why": "\u{1b}[2J"})), 400, "invalid"),
        ("POST", "/api/v1/runs/rzzzzzzzzzzzz/cancel", Some(json!({"why": "x"})), 404, "no-such-run"),
        ("POST", "/api/v1/models/m/promote", Some(json!({"version": 0, "why": "x"})), 400, "invalid"),
        ("POST", "/api/v1/models/m/promote", Some(json!({"version": 1, "why": " "})), 400, "invalid"),
        ("POST", "/api/v1/pipelines/x/pause", None, 415, "not-json"),
    ];
    for (method, path, body, status, code) in cases {
        let answer = server.ask(method, path, &[], body.as_ref());
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (*status, *code),
            "{method} {path}: {}",
            answer.text()
        );
        if *status == 405 {
            assert!(answer.headers.to_lowercase().contains("allow: get"), "{}", answer.headers);
        }
    }
    let cli = server.noctule(&["show", "rzzzzzzzzzzzz"]).expect(2);
    let here = house.noctule(&["show", "rzzzzzzzzzzzz", "--config", "noctule.yaml"]).expect(2);
    assert_eq!(cli.stderr, here.stderr);
    let away = house.noctule(&["--server", "http://127.0.0.1:9", "runs"]).expect(7);
    assert!(away.stderr.contains("cannot be reached"), "{}", away.stderr);
}

#[test]
fn a_request_of_100_mb_is_refused_and_nothing_is_lost() {
    let house = House::new();
    house.file("dags/job.yaml", command("job", "", "[\"true\"]"));
    let server = Server::start(&house, OPEN);
    for announced in [true, false] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let how = if announced { "Content-Length: 104857600" } else { "Transfer-Encoding: chunked" };
        let head = format!(
            "POST /api/v1/pipelines/job/runs HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{how}\r\n\r\n",
            server.address()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let piece = vec![b' '; 1 << 20];
        for _ in 0..100 {
            let sent = match announced {
                true => stream.write_all(&piece),
                false => stream
                    .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                    .and_then(|()| stream.write_all(&piece))
                    .and_then(|()| stream.write_all(b"\r\n")),
            };
            if sent.is_err() {
                break;
            }
        }
        let answer = read(stream);
        assert_eq!((answer.status, answer.code().as_str()), (413, "too-large"), "{}", answer.headers);
    }
    let run = server.trigger("job");
    server.wait(&run, "succeeded");
}

#[test]
fn slow_clients_are_let_go_and_others_are_answered_meanwhile() {
    let house = House::new();
    let server = Server::start(&house, OPEN);
    let begun = Instant::now();
    // Two that never finish: one its head, one its body.
    let mut head = TcpStream::connect(server.address()).unwrap();
    head.write_all(b"GET /api/v1/runs HTTP/1.1\r\nHo").unwrap();
    let mut body = TcpStream::connect(server.address()).unwrap();
    let text = format!(
        "POST /api/v1/pipelines/job/runs HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        server.address()
    );
    body.write_all(text.as_bytes()).unwrap();
    for _ in 0..20 {
        assert_eq!(server.get("/healthz").status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "the others were held up");
    let answer = read(body);
    assert_eq!((answer.status, answer.code().as_str()), (408, "too-slow"));
    head.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let _ = read(head);
    assert!(begun.elapsed() < Duration::from_secs(50), "a client that sends no head was kept");
}
