//! The accept loop: connections in, within limits. Slow and idle clients are let go; stopping waits for
//! requests under way, but not for streams.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

/// Connections in all, and from one address. A reverse proxy on loopback is not limited by address.
const MOST: usize = 8192;
const MOST_OF_ONE: usize = 256;
/// Time to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// Requests under way when we stop may take this long.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves until `stopped`.
pub(crate) async fn serve(
    listener: &TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let graceful = GracefulShutdown::new();
    let guests = Arc::new(Guests::default());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(64).max_header_list_size(64 * 1024);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(why) => {
                    // Out of descriptors: those who are here will leave.
                    tracing::warn!(%why, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stopped.changed() => break,
        };
        let Some(guest) = guests.enter(peer.ip()) else { continue };
        let _ = stream.set_nodelay(true);
        let connection = connection(&builder, stream, peer, router.clone());
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off is no news.
            let _ = watched.await;
            drop(guest);
        });
    }
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
    Ok(())
}

/// What a node answers while another one watches: not here, and try again.
pub(crate) fn standing_by() -> Router {
    Router::new().fallback(|| async {
        let words = "This node stands by while another one watches. Ask that one, or again in a moment.\n";
        (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], words)
    })
}

fn connection(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + Send + use<>
{
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(axum::body::Body::new)
    });
    builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned()
}

/// Who is connected.
#[derive(Default)]
struct Guests(Mutex<HashMap<IpAddr, usize>>);

/// One connection; leaving is dropping it.
struct Guest {
    guests: Arc<Guests>,
    address: IpAddr,
}

impl Guests {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let mut counts = self.0.lock();
        let all: usize = if counts.len() > 64 { counts.values().sum() } else { 0 };
        let own = counts.entry(address).or_default();
        if all >= MOST || (!address.is_loopback() && *own >= MOST_OF_ONE) || *own >= MOST {
            return None;
        }
        *own += 1;
        Some(Guest { guests: Arc::clone(self), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock();
        if let Some(own) = counts.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
