//! The API against its own description, by a fuzzer that nobody here wrote.

use std::process::Command;

use crate::house::{House, workspace};
use crate::server::{Server, TOKENS, command};
use crate::shop::{BEATS_POPULARITY, TRAIN, short};

#[test]
fn schemathesis_finds_every_answer_as_it_is_described() {
    let test = "schemathesis_finds_every_answer_as_it_is_described";
    let Some(python) = crate::python::with_packages(test, &["schemathesis"]) else { return };
    let house = House::new();
    house.file("dags/job.yaml", command("job", "schedule: {cron: \"15 2 * * *\"}\n", "[\"true\"]"));
    house.file("dags/short.yaml", short(TRAIN, BEATS_POPULARITY));
    house.noctule(&["run", "dags/short.yaml", "--at", "2026-11-20"]).expect(0);
    house.file("noctule.yaml", TOKENS);
    let mut arguments = vec!["admin", "tokens", "add", "fuzzer", "--config", "noctule.yaml"];
    for role in ["operate", "promote:*"] {
        arguments.extend(["--role", role]);
    }
    let token = house.noctule(&arguments).expect(0).stdout;
    let server = Server::start(&house, TOKENS);
    let description = format!("{}/api/v1/openapi.json", server.url);
    let output = Command::new(&python)
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"])
        .arg("--config-file")
        .arg(workspace().join("tests/peers/contract/schemathesis.toml"))
        .args(["run", &description])
        .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", "20"])
        .args(["--seed", "7", "--request-timeout", "30", "--no-color", "--continue-on-failure"])
        .current_dir(house.path())
        .env_remove("PYTHONPATH")
        .output()
        .expect("python is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("No issues found") || said.contains("passed"), "{said}");
    // Whatever it did, the server is there and does its work.
    house.file("token", token);
    let run = server.noctule(&["--token-file", "token", "run", "job", "--json"]).expect(0).json();
    assert_eq!(run["status"], "succeeded");
}
