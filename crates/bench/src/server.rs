//! What is asked and told: an HTTP and an HTTPS target, a switchable one, and a webhook sink that notes when the
//! first byte came. One process, so that its moments compare.
//!
//! It prints its ports and the CA's file, then the measured latencies when asked at `/report`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// As large as a small page.
const BODY: [u8; 1024] = [b'x'; 1024];

#[derive(Default)]
struct Board {
    /// When each switchable target last answered badly.
    failed: Mutex<HashMap<String, Instant>>,
    failing: Mutex<HashMap<String, bool>>,
    /// Microseconds from the bad answer to the first byte at the sink.
    latencies: Mutex<Vec<u128>>,
}

pub(crate) async fn run() -> Result<()> {
    let board = Arc::new(Board::default());
    let http = TcpListener::bind("127.0.0.1:0").await?;
    let https = TcpListener::bind("127.0.0.1:0").await?;
    let (acceptor, ca_pem) = tls()?;
    let ca = tempfile::Builder::new().prefix("watchbell-bench-ca").suffix(".pem").tempfile()?;
    std::fs::write(ca.path(), ca_pem)?;
    println!("{} {} {}", http.local_addr()?.port(), https.local_addr()?.port(), ca.path().display());
    let plain = accept(http, Arc::clone(&board));
    let secure = accept_tls(https, acceptor, Arc::clone(&board));
    tokio::try_join!(plain, secure)?;
    Ok(())
}

async fn accept(listener: TcpListener, board: Arc<Board>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let accepted = now();
        let board = Arc::clone(&board);
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut first = [0_u8; 1];
            // The first byte of a request, before anything is parsed.
            let _ = stream.peek(&mut first).await;
            let arrived = now().max(accepted);
            let service = service_fn(move |request| answer(request, Arc::clone(&board), arrived));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn accept_tls(listener: TcpListener, acceptor: TlsAcceptor, board: Arc<Board>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, board) = (acceptor.clone(), Arc::clone(&board));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, Arc::clone(&board), now()));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    board: Arc<Board>,
    arrived: Instant,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches('/').split('/');
    let (status, body) = match (parts.next(), parts.next()) {
        // A target that fails while it is switched off, and notes when it did.
        (Some("switch"), Some(name)) => {
            if lock(&board.failing).get(name).copied().unwrap_or(false) {
                lock(&board.failed).insert(name.to_owned(), now());
                (StatusCode::BAD_GATEWAY, Bytes::from_static(b"off"))
            } else {
                (StatusCode::OK, Bytes::from_static(b"on"))
            }
        }
        (Some("turn"), Some(name)) => {
            let off = parts.next() == Some("off");
            lock(&board.failing).insert(name.to_owned(), off);
            (StatusCode::OK, Bytes::new())
        }
        (Some("hook"), _) => {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let text = String::from_utf8_lossy(&body);
            if text.contains("\"event\":\"down\"") {
                let failed = lock(&board.failed)
                    .iter()
                    .find(|(name, _)| text.contains(&format!("\"{name}\"")))
                    .map(|(_, at)| *at);
                if let Some(failed) = failed {
                    lock(&board.latencies).push(arrived.saturating_duration_since(failed).as_micros());
                }
            }
            (StatusCode::OK, Bytes::new())
        }
        (Some("report"), _) => {
            let words: Vec<String> = lock(&board.latencies).iter().map(u128::to_string).collect();
            (StatusCode::OK, Bytes::from(words.join(" ")))
        }
        _ => (StatusCode::OK, Bytes::from_static(&BODY)),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A CA and a leaf for localhost, ECDSA P-256 as most of the web has.
fn tls() -> Result<(TlsAcceptor, String)> {
    let ca_key = rcgen::KeyPair::generate()?;
    let mut ca = rcgen::CertificateParams::new(Vec::new())?;
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate()?;
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    let chain = vec![leaf.der().clone(), ca_certificate.der().clone()];
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the test certificate")?;
    Ok((TlsAcceptor::from(Arc::new(config)), ca_certificate.pem()))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
