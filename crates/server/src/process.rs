//! What a server does with its process: signals, limits of descriptors, the listening socket.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
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
pub(crate) struct Node {
    pub name: String,
    /// Locked for as long as we live: two processes of one name would take the lease from each other.
    _lock: File,
}

impl Node {
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        let path = data.join("node");
        let unusable = || format!("{} cannot be used; choose another folder with --data", path.display());
        std::fs::create_dir_all(data).with_context(unusable)?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.with_context(unusable)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let folder = data.display();
            anyhow::bail!("`{folder}` is in use by another watchbell; stop it or choose another --data");
        }
        let mut name = String::new();
        file.read_to_string(&mut name).with_context(unusable)?;
        let mut name = name.trim().to_owned();
        if name.is_empty() {
            name = random::letters(12);
            file.write_all(name.as_bytes()).with_context(unusable)?;
        }
        Ok(Self { name, _lock: file })
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
