//! The yardstick: a loop that does nothing but ask, with a fresh connection each time, hyper by hand, on one
//! thread. Flat out with 32 requests in flight, or paced: so many a second, evenly, as a watcher must.
//! It prints its CPU time per check in microseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::process;

const IN_FLIGHT: usize = 32;

pub(crate) async fn run(url: &str, count: usize, ca: &str, pace: u32) -> Result<()> {
    let uri: http::Uri = url.parse()?;
    let connector = if uri.scheme_str() == Some("https") { Some(connector(ca)?) } else { None };
    let before = process::cpu(std::process::id())?;
    if pace == 0 {
        flat_out(&uri, count, connector).await?;
    } else {
        paced(&uri, count, connector, pace).await?;
    }
    let spent = process::cpu(std::process::id())? - before;
    println!("{:.1}", spent.as_secs_f64() * 1e6 / count as f64);
    Ok(())
}

async fn paced(uri: &http::Uri, count: usize, connector: Option<TlsConnector>, pace: u32) -> Result<()> {
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1) / pace);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..count {
        tick.tick().await;
        let (uri, connector) = (uri.clone(), connector.clone());
        asked.spawn(async move { ask(&uri, connector.as_ref()).await });
        while let Some(done) = asked.try_join_next() {
            done??;
        }
    }
    while let Some(done) = asked.join_next().await {
        done??;
    }
    Ok(())
}

async fn flat_out(uri: &http::Uri, count: usize, connector: Option<TlsConnector>) -> Result<()> {
    let left = Arc::new(AtomicUsize::new(count));
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (left, uri, connector) = (Arc::clone(&left), uri.clone(), connector.clone());
            tokio::spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    ask(&uri, connector.as_ref()).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the yardstick stands beside the product's own dialer")]
async fn ask(uri: &http::Uri, connector: Option<&TlsConnector>) -> Result<()> {
    let port = uri.port_u16().context("a port")?;
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    match connector {
        None => exchange(stream, uri).await,
        Some(connector) => {
            let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
            exchange(stream, uri).await
        }
    }
}

async fn exchange<S>(stream: S, uri: &http::Uri) -> Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(uri.path()).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let asking = async {
        let response = sender.send_request(request).await?;
        anyhow::ensure!(response.status().is_success(), "the target answered {}", response.status());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(())
    };
    tokio::pin!(asking);
    tokio::pin!(connection);
    tokio::select! {
        asked = &mut asking => asked,
        closed = &mut connection => {
            closed?;
            asking.await
        }
    }
}

fn connector(ca: &str) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).map_err(|why| anyhow::anyhow!("{ca}: {why}"))?)?;
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
