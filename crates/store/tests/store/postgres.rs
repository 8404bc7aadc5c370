//! A real Postgres, started by the tests and gone with them.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use noctule_store::Location;

/// A server that listens on a socket in its own folder and nowhere else. One serves the whole test binary, and a test
/// that stops it has one of its own.
pub struct Server {
    folder: PathBuf,
    bin: PathBuf,
    owner: Option<(u32, u32)>,
    /// A shell that ends the server when this process ends, however it ends: it reads from a pipe that only we hold.
    keeper: Child,
}

/// What the shell does: it stops and starts the server at our word, and when there are no more words, that was it.
const KEEPER: &str = r#"
begin() {
    "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=200 \
        </dev/null >>"$2/log" 2>&1 &
    server=$!
}
end() { kill -INT $server; wait $server; }
begin "$@"
while read -r word; do
    case $word in
        stop) end ;;
        start) begin "$@" ;;
    esac
    echo "$word"
done
end
rm -rf "$2"
"#;

static SERVER: OnceLock<Option<Server>> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A new, empty database; `None` when no Postgres is installed.
pub fn database() -> Option<Location> {
    Some(SERVER.get_or_init(Server::start).as_ref()?.database())
}

/// Runs SQL past the store, as an administrator would.
pub fn sql(location: &Location, text: &str) {
    let Location::Postgres(url) = location else { panic!("not a Postgres") };
    let server = SERVER.get().and_then(Option::as_ref).expect("the database came from the server");
    server.sql(url.path().trim_start_matches('/'), text);
}

impl Server {
    /// A new, empty database.
    pub fn database(&self) -> Location {
        let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        let folder = self.folder.display();
        format!("postgres://postgres@localhost/{name}?host={folder}")
            .parse()
            .expect("the address is well formed")
    }

    /// Ends the server, as an administrator or a reboot would.
    pub fn stop(&mut self) {
        self.say("stop");
    }

    /// Starts the server that was stopped.
    pub fn go_on(&mut self) {
        self.say("start");
        self.wait_until_ready();
    }

    fn say(&mut self, word: &str) {
        let pipe = self.keeper.stdin.as_mut().expect("it is piped");
        pipe.write_all(format!("{word}\n").as_bytes()).expect("the keeper lives");
        let mut done = vec![0; word.len() + 1];
        self.keeper.stdout.as_mut().expect("it is piped").read_exact(&mut done).expect("the keeper answers");
    }

    fn sql(&self, database: &str, text: &str) {
        let mut psql = as_owner(&self.bin.join("psql"), self.owner);
        let done = psql
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"])
            .arg(&self.folder)
            .args(["-d", database, "-c", text])
            .output()
            .expect("psql starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Server {
    /// A new server; `None` when no Postgres is installed.
    pub fn start() -> Option<Self> {
        let bin = bin_folder()?;
        let owner = owner();
        let folder =
            tempfile::Builder::new().prefix("noctule-pg-").tempdir().expect("a folder for Postgres").keep();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).expect("the folder is ours");
        if let Some((uid, gid)) = owner {
            chown(&folder, Some(uid), Some(gid)).expect("root may give a folder away");
        }
        let data = folder.join("data");
        let made = as_owner(&bin.join("initdb"), owner)
            .args(["--auth=trust", "--no-sync", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let keeper = as_owner(Path::new("/bin/sh"), owner)
            .arg("-c")
            .arg(KEEPER)
            .arg("keeper")
            .args([&bin, &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let server = Self { folder, bin, owner, keeper };
        server.wait_until_ready();
        Some(server)
    }

    fn wait_until_ready(&self) {
        let patience = Instant::now();
        loop {
            let ready = as_owner(&self.bin.join("pg_isready"), self.owner)
                .args(["-q", "-h"])
                .arg(&self.folder)
                .status()
                .expect("pg_isready starts");
            if ready.success() {
                return;
            }
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(patience.elapsed() < Duration::from_secs(60), "Postgres did not start:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A command as the user that Postgres runs as: it refuses root.
fn as_owner(program: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    command
}

fn owner() -> Option<(u32, u32)> {
    rustix::process::geteuid()
        .is_root()
        .then(|| unprivileged().expect("a user `postgres` or `nobody` exists"))
}

/// User and group of somebody without rights.
pub fn unprivileged() -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].iter().find_map(|name| {
        let mut fields = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn bin_folder() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut folders = on_path.unwrap_or_default();
    // Debian keeps the server's programs off the path, one folder per version.
    for version in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        folders.push(version.path().join("bin"));
    }
    let whole = |folder: &PathBuf| {
        ["initdb", "postgres", "psql", "pg_isready"].iter().all(|program| folder.join(program).is_file())
    };
    folders.into_iter().find(whole)
}

/// Says that a test was skipped; fails it where nothing may be.
pub fn skipped(test: &str, why: &str) {
    let mut stderr = std::io::stderr();
    let _ = writeln!(stderr, "SKIPPED {test}: {why}");
    assert!(
        std::env::var_os("NOCTULE_NO_SKIP").is_none_or(|value| value != "1"),
        "{test} was skipped: {why}"
    );
}
