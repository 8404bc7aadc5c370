//! `noctule serve`: schedules and backfills of a folder of pipelines, and the API.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use noctule_controller::serve::{Retention, Settings, start};
use noctule_spec::Span;
use noctule_store::Location;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::cli::{Global, Serve};
use crate::exit::Exit;
use crate::home::{Home, Open};
use crate::lister::Sources;
use crate::report::Trouble;
use crate::server::{Api, check_access, listen, router};

pub async fn run(arguments: &Serve, global: &Global) -> Result<Exit, Trouble> {
    let mut signals = Signals::new()?;
    let home = Home::find(global.config.as_deref())?;
    let serve = &home.config.serve;
    let (folder, access) = (home.pipelines()?, serve.access);
    check_access(access, serve.listen)?;
    let listener = TcpListener::bind(serve.listen).await.map_err(|error| {
        Trouble::own(format!(
            "{} cannot be listened on ({error}): end what listens there, or write another `serve.listen`",
            serve.listen
        ))
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Trouble::own(format!("the address that was listened on cannot be told: {error}")))?;
    let Open { controller, observations } = home.open().await?;
    let settings = Settings {
        folder: folder.clone(),
        reload: duration(serve.reload),
        parallel: home.config.parallel.unwrap_or(controller.machine.threads),
        retention: Retention {
            runs: duration(serve.retention.runs),
            attempts: duration(serve.retention.attempts),
            ..Retention::default()
        },
        shared_database: !matches!(home.location()?, Location::File(_)),
    };
    let place = controller.store.place().to_owned();
    let handle = start(controller.clone(), observations, Arc::new(Sources), settings).await?;

    let (stop, stopped) = watch::channel(false);
    let api = Api::new(controller, handle.clone(), access);
    let listening = tokio::spawn(listen::serve(listener, router(api), told(stopped)));
    announce(address, &folder, &place, arguments.port_file.as_deref(), global)?;

    signals.next().await;
    anstream::eprintln!(
        "stopping in order: attempts go on, and the next start takes them up; once more to stop at once"
    );
    stop.send_replace(true);
    let in_order = async {
        handle.stop().await;
        let _ = listening.await;
    };
    tokio::select! {
        () = in_order => Ok(Exit::Done),
        () = signals.next() => Ok(Exit::Interrupted),
    }
}

async fn told(mut stop: watch::Receiver<bool>) {
    // When nobody can say so any more, it is to stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn duration(span: Span) -> Duration {
    Duration::from_secs(span.seconds())
}

/// Says where it listens: on standard error for people, in a file or a document for programs.
fn announce(
    address: SocketAddr,
    folder: &Path,
    database: &str,
    port_file: Option<&Path>,
    global: &Global,
) -> Result<(), Trouble> {
    let url = format!("http://{address}");
    if let Some(path) = port_file {
        // Whoever waits for the file finds it whole.
        let partial = path.with_extension("partial");
        std::fs::write(&partial, format!("{url}\n"))
            .and_then(|()| std::fs::rename(&partial, path))
            .map_err(|error| Trouble::file("write", path, error))?;
    }
    if global.json {
        super::print_json(&json!({"address": url, "pipelines": folder, "database": database}));
    }
    anstream::eprintln!("noctule serves {} on {url}, with the database {database}", folder.display());
    Ok(())
}

/// Ctrl-C and SIGTERM.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Trouble> {
        let listen = |kind| {
            signal(kind).map_err(|error| Trouble::own(format!("signals cannot be listened for: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
