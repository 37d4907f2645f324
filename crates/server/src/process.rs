//! What a server does with its process: signals, limits of descriptors, the listening socket.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::random;

/// Descriptors kept for the store, the listener and deliveries.
const RESERVED: u64 = 256;
/// More looks at a time than this help nobody.
const MOST: u64 = 16_384;
/// Where the limit of descriptors is not known.
const USUAL: u64 = 1024;

/// Raises the limit of descriptors as far as we may, and says how many looks fit below it.
pub(crate) fn concurrency() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let have = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // A look may hold a socket for the name and one for the target; half is left for people.
    let looks = have.unwrap_or(USUAL).saturating_sub(RESERVED) / 2;
    usize::try_from(looks.clamp(32, MOST)).unwrap_or(32)
}

/// Takes the address, or says who could be in the way.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is another program there? Choose another one with --listen")
    })
}

/// SIGHUP means reading the configuration again. Where there is none to read, or not yet, it must not end us.
pub(crate) fn survive_hangup() {
    if signal(SignalKind::hangup()).is_err() {
        tracing::warn!("SIGHUP cannot be received, and would end this process");
    }
}

/// What this installation is called among the nodes of a database: made once, kept in the data folder, so that
/// after a crash we are known to be the one that held the lease.
pub(crate) fn node_name(data: &Path) -> anyhow::Result<String> {
    let path = data.join("node");
    match std::fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            let name = random::letters(12);
            std::fs::create_dir_all(data)
                .and_then(|()| std::fs::write(&path, &name))
                .with_context(|| format!("{} cannot be written; choose another folder with --data", path.display()))?;
            Ok(name)
        }
    }
}

/// Says `stop` once on SIGTERM or SIGINT. SIGHUP belongs to reloading.
pub(crate) async fn stop_on_signal(stop: watch::Sender<bool>) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be received; stop this process with kill -9");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    let _ = stop.send(true);
}
