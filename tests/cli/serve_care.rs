//! Care of a server's database, and what its schedule will do to the clock's changes.

use crate::house::House;
use crate::server::{OPEN, Server, command};

#[test]
fn a_backup_is_made_while_the_server_runs_and_restored_when_it_does_not() {
    let house = House::new();
    house.file("dags/job.yaml", command("job", "", "[\"true\"]"));
    let server = Server::start(&house, OPEN);
    let first = server.trigger("job");
    server.wait(&first, "succeeded");
    let config = ["--config", "noctule.yaml"];
    let admin = |arguments: &[&str]| house.noctule(&[&["admin"], arguments, &config[..]].concat());
    let made = admin(&["backup", "copy.db"]).expect(0);
    assert!(made.stderr.contains("1 runs"), "{}", made.stderr);
    let again = admin(&["backup", "copy.db"]).expect(2);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let second = server.trigger("job");
    server.wait(&second, "succeeded");
    let served = admin(&["restore", "copy.db"]).expect(2);
    assert!(served.stderr.contains("in use"), "{}", served.stderr);
    assert_eq!(server.stop(), 0);

    house.file("nonsense.db", "no database at all");
    let nonsense = admin(&["restore", "nonsense.db"]).expect(2);
    assert!(nonsense.stderr.contains("cannot be restored"), "{}", nonsense.stderr);
    let restored = admin(&["restore", "copy.db"]).expect(0);
    assert!(restored.stderr.contains("what was there before lies in"), "{}", restored.stderr);
    let server = Server::again(&house);
    let runs = server.document("/runs")["runs"].as_array().unwrap().clone();
    assert_eq!((runs.len(), runs[0]["run"].as_str().unwrap()), (1, first.as_str()));
    let audit = server.document("/audit").to_string();
    assert!(audit.contains("store.restore"), "{audit}");
    let third = server.trigger("job");
    server.wait(&third, "succeeded");
}

#[test]
fn a_schedule_marks_the_changes_of_its_clock() {
    let house = House::new();
    // The nights around both changes of the year, whenever the test runs.
    let head = "schedule: {cron: \"30 2 25-31 3,10 *\", timezone: Europe/Berlin}\n";
    house.file("p.yaml", command("p", head, "[\"true\"]"));
    let shown = house.json(0, &["schedule", "p.yaml"]);
    let next = shown["next"].as_array().unwrap();
    assert_eq!(next.len(), 20);
    let of = |word: &str| next.iter().filter(|row| row["shown"] == word).count();
    assert!(of("never") >= 1 && of("twice") >= 1, "{shown:#}");
    for row in next {
        let (month, offset) = (&row["id"].as_str().unwrap()[5..7], row["offset"].as_str().unwrap());
        assert!(matches!((month, offset), ("03" | "10", "+01:00" | "+02:00")), "{row}");
    }
    let page = house.noctule(&["schedule", "p.yaml", "-n", "20"]).expect(0).stdout;
    for wanted in [
        "30 2 25-31 3,10 * Europe/Berlin",
        "the clock changed from +01:00 to +02:00",
        "the clock jumps over this time: it runs at the jump",
        "the clock shows this time twice: it runs the first time",
    ] {
        assert!(page.contains(wanted), "{wanted} is missing from\n{page}");
    }
    let none = house.noctule(&["schedule", "nothing.yaml"]).expect(2);
    assert!(none.stderr.contains("neither a pipeline file"), "{}", none.stderr);
}

#[test]
fn a_server_that_cannot_start_says_why_and_a_second_signal_ends_it_at_once() {
    let house = House::new();
    std::fs::create_dir_all(house.path().join("dags")).unwrap();
    house.file("noctule.yaml", "serve: {listen: \"127.0.0.1:0\"}\n");
    let without = house.noctule(&["serve", "--config", "noctule.yaml"]).expect(2);
    assert!(without.stderr.contains("`serve: {pipelines: FOLDER}`"), "{}", without.stderr);
    house.file("noctule.yaml", OPEN.replace("pipelines: dags", "pipelines: nowhere"));
    let missing = house.noctule(&["serve", "--config", "noctule.yaml"]).expect(2);
    assert!(missing.stderr.contains("nowhere"), "{}", missing.stderr);
    let server = Server::start(&house, OPEN);
    let taken = OPEN.replace("127.0.0.1:0", &server.address());
    house.file("taken.yaml", taken);
    let taken = house.noctule(&["serve", "--config", "taken.yaml"]).expect(7);
    assert!(taken.stderr.contains("cannot be listened on"), "{}", taken.stderr);
    // A client that is in no hurry holds up the end in order, and not the end at once.
    let mut slow = std::net::TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
        server.address()
    );
    std::io::Write::write_all(&mut slow, head.as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let begun = std::time::Instant::now();
    assert_eq!(server.stop_at_once(), 130);
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
}
