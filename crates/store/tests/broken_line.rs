//! A line to PostgreSQL that breaks at the worst moment: after COMMIT was said, before it was answered.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_postgres::config::Host;
use watchbell_core::Secret;
use watchbell_store::{Commit, CommitError, OpenSettings, Place, Store};

use crate::both::on_postgres;
use crate::examples::*;

const WHOLE: u8 = 0;
/// The server hears the COMMIT, we never hear its answer.
const BREAKS_AFTER: u8 = 1;
/// Not even the server hears it.
const BREAKS_BEFORE: u8 = 2;

#[test]
fn an_unknown_outcome_is_reported_as_such_and_can_be_asked_for() {
    on_postgres(async |fixture| {
        let Place::Postgres(url) = &fixture.settings.place else { unreachable!("this is PostgreSQL") };
        let line = Line::to(url.expose());
        let store = Store::open(OpenSettings::postgres(Secret::new(&*line.url))).await.unwrap();
        let lease = lease(&store).await;
        create(&store, &lease, 1, "shop").await;

        for (seq, how, stored) in [(1, BREAKS_AFTER, true), (2, BREAKS_BEFORE, false)] {
            let mut commit = Commit::new(at(1), lease.clone());
            commit.changes.push(goes_down(1, "shop", seq, at(1), &["ops"]));
            line.mood.store(how, Ordering::SeqCst);
            let outcome = store.commit(&commit).await;
            line.mood.store(WHOLE, Ordering::SeqCst);
            assert!(matches!(outcome, Err(CommitError::Unknown(_))), "{outcome:?}");
            assert_eq!(store.was_committed(&commit).await.unwrap(), stored);
            let again = store.commit(&commit).await;
            assert_eq!(again, if stored { Err(CommitError::Conflict { monitor: 1 }) } else { Ok(()) });
        }
        assert_eq!(store.transitions(1, at(0), at(9)).await.unwrap().len(), 2);
        store.close().await.unwrap();
    });
}

/// A port of this machine that leads to the server, as long as it is in the mood.
struct Line {
    url: String,
    mood: Arc<AtomicU8>,
}

impl Line {
    fn to(server: &str) -> Self {
        let config: tokio_postgres::Config = server.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "postgres://{}:{}@{}/{}?sslmode=disable",
            config.get_user().unwrap(),
            String::from_utf8_lossy(config.get_password().unwrap_or_default()),
            listener.local_addr().unwrap(),
            config.get_dbname().unwrap(),
        );
        let mood = Arc::new(AtomicU8::new(WHOLE));
        let shared = Arc::clone(&mood);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, Server::connect(&config)) else { return };
                let back = (server.again(), client.try_clone().unwrap());
                std::thread::spawn(move || answer(back));
                let mood = Arc::clone(&shared);
                std::thread::spawn(move || ask(client, server, &mood));
            }
        });
        Self { url, mood }
    }
}

fn ask(mut client: TcpStream, mut server: Server, mood: &AtomicU8) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let said = &buffer[..length];
        let mood = if said.windows(7).any(|words| words == b"COMMIT\0") { mood.load(Ordering::SeqCst) } else { WHOLE };
        if mood != WHOLE {
            // Before the server is told, so that its answer finds nobody.
            let _ = client.shutdown(Shutdown::Both);
        }
        if mood == BREAKS_BEFORE || server.write_all(said).is_err() {
            break;
        }
    }
    server.close();
}

fn answer((mut server, mut client): (Server, TcpStream)) {
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

enum Server {
    Port(TcpStream),
    File(UnixStream),
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a test's own line to its own server")]
    fn connect(config: &tokio_postgres::Config) -> io::Result<Self> {
        let port = config.get_ports().first().copied().unwrap_or(5432);
        match &config.get_hosts()[0] {
            Host::Tcp(host) => TcpStream::connect((host.as_str(), port)).map(Self::Port),
            Host::Unix(folder) => UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).map(Self::File),
        }
    }

    fn again(&self) -> Self {
        match self {
            Self::Port(stream) => Self::Port(stream.try_clone().unwrap()),
            Self::File(stream) => Self::File(stream.try_clone().unwrap()),
        }
    }

    /// The server still does what it was told before.
    fn close(&self) {
        let _ = match self {
            Self::Port(stream) => stream.shutdown(Shutdown::Write),
            Self::File(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

impl Read for Server {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Port(stream) => stream.read(buffer),
            Self::File(stream) => stream.read(buffer),
        }
    }
}

impl Write for Server {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Port(stream) => stream.write(bytes),
            Self::File(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
