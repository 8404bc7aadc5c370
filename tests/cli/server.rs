//! A server on a folder of its own, and a client that says exactly what a test wants to say.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{Finished, House};

/// A server that runs in a house. It is killed when the test ends.
pub struct Server<'a> {
    pub house: &'a House,
    child: Option<Child>,
    pub url: String,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

/// Access for everybody on this machine, and quick looks at the folder.
pub const OPEN: &str = "serve: {pipelines: dags, listen: \"127.0.0.1:0\", access: open, reload: 1s}\n";
pub const TOKENS: &str = "serve: {pipelines: dags, listen: \"127.0.0.1:0\", reload: 1s}\n";

/// How long anything may take that a server does by itself.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A pipeline of one command.
pub fn command(name: &str, head: &str, command: &str) -> String {
    format!(
        "noctule: 1\npipeline: {name}\n{head}steps:\n  work:\n    uses: shell\n    with: {{command: {command}}}\n  after:\n    uses: shell\n    needs: [work]\n    with: {{command: [\"true\"]}}\n"
    )
}

/// Asks until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    panic!("waited in vain until {what}");
}

impl<'a> Server<'a> {
    /// Starts a server with this config, and waits until it is ready.
    pub fn start(house: &'a House, config: &str) -> Self {
        house.file("noctule.yaml", config);
        std::fs::create_dir_all(house.path().join("dags")).unwrap();
        Self::again(house)
    }

    /// Starts one with the config that is there, and waits until it is ready.
    pub fn again(house: &'a House) -> Self {
        let mut server = Self::spawn(house);
        server.wait_until_ready();
        server
    }

    /// Starts one with the config that is there.
    pub fn spawn(house: &'a House) -> Self {
        let port = house.path().join("port");
        let _ = std::fs::remove_file(&port);
        let log =
            std::fs::File::options().create(true).append(true).open(house.path().join("server.log")).unwrap();
        let child = house
            .command(&["serve", "--config", "noctule.yaml", "--port-file", "port"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { house, child: Some(child), url: String::new() }
    }

    pub fn wait_until_ready(&mut self) {
        let port = self.house.path().join("port");
        self.url = until("the server listens", || {
            let gone = self.child.as_mut().expect("it was started").try_wait().unwrap();
            assert!(gone.is_none(), "the server ended: {}", self.log());
            std::fs::read_to_string(&port).ok().map(|text| text.trim().to_owned())
        });
        until("the server is ready", || (self.get("/readyz").status == 200).then_some(()));
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.house.path().join("server.log")).unwrap_or_default()
    }

    pub fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Ends it in order, and gives its exit code.
    pub fn stop(mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        signal(&child, rustix::process::Signal::TERM);
        child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Ends it in order, thinks again, and ends it at once; gives its exit code.
    pub fn stop_at_once(mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        signal(&child, rustix::process::Signal::TERM);
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, rustix::process::Signal::TERM);
        child.wait().unwrap().code().unwrap_or(-1)
    }

    /// `kill -9`: its attempts live on.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[], Some(body))
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {}\r\n", self.address());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &body {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(format!("{head}\r\n{}", body.unwrap_or_default()).as_bytes()).unwrap();
        read(stream)
    }

    /// The document of a path of the API.
    #[track_caller]
    pub fn document(&self, path: &str) -> Value {
        let answer = self.get(&format!("/api/v1{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Runs a command against this server.
    pub fn noctule(&self, arguments: &[&str]) -> Finished {
        let mut all = vec!["--server", self.url.as_str()];
        all.extend_from_slice(arguments);
        self.house.noctule(&all)
    }

    /// The newest run of a pipeline, when there is one.
    pub fn newest(&self, pipeline: &str) -> Option<Value> {
        let listed = self.document(&format!("/runs?pipeline={pipeline}&limit=1"));
        let run = listed["runs"][0]["run"].as_str()?.to_owned();
        Some(self.document(&format!("/runs/{run}")))
    }

    /// Waits until a run stands so.
    #[track_caller]
    pub fn wait(&self, run: &str, status: &str) -> Value {
        until(&format!("run {run} is {status}"), || {
            let document = self.document(&format!("/runs/{run}"));
            (document["status"] == status).then_some(document)
        })
    }

    /// Waits until a step of a run stands so.
    #[track_caller]
    pub fn wait_step(&self, run: &str, step: &str, state: &str) {
        until(&format!("`{step}` of run {run} is {state}"), || {
            let document = self.document(&format!("/runs/{run}"));
            (crate::shop::step(&document, step)["state"] == state).then_some(())
        });
    }

    /// Begins a run of a pipeline, and gives its id.
    #[track_caller]
    pub fn trigger(&self, pipeline: &str) -> String {
        let answer =
            self.post(&format!("/api/v1/pipelines/{pipeline}/runs"), &serde_json::json!({"why": "a test"}));
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["run"].as_str().unwrap().to_owned()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!("the server's log:\n{}", self.log());
            }
        }
    }
}

pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Reads an answer to its end.
pub fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A connection that is reset after the answer has been read all the same.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let headers = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = headers.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut body = bytes.get(end + 4..).unwrap_or_default().to_vec();
    if headers.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = joined(&body);
    }
    Answer { status, headers, body }
}

fn joined(mut chunked: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunked.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&chunked[..end]), 16).unwrap_or(0);
        let from = end + 2;
        if size == 0 || chunked.len() < from + size {
            break;
        }
        body.extend_from_slice(&chunked[from..from + size]);
        chunked = &chunked[(from + size + 2).min(chunked.len())..];
    }
    body
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}\n\n{}", self.headers, self.text()))
    }

    /// The code of an answer in the API's one form of errors.
    #[track_caller]
    pub fn code(&self) -> String {
        let document = self.json();
        let error = &document["error"];
        assert!(error["message"].is_string() && error.get("help").is_some(), "{document}");
        error["code"].as_str().expect("a code").to_owned()
    }
}
