//! One GET to a running server, for the commands that ask it.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use url::{Host, Url};
use watchbell_net::{Net, NetSettings, Purpose, Target, TlsWish};

use crate::clock::Clock;

/// A server that takes longer is as good as gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ten thousand monitors take a few MiB of metrics.
const LARGEST: usize = 64 * 1024 * 1024;

/// What a server answered.
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
}

/// Asks `path` of the server at `base`.
pub(super) async fn get(base: &Url, path: &str, token: Option<&str>) -> anyhow::Result<Answer> {
    match tokio::time::timeout(PATIENCE, answer(base, path, token)).await {
        Ok(answer) => answer,
        Err(_) => bail!("{base} did not answer within {} seconds", PATIENCE.as_secs()),
    }
}

async fn answer(base: &Url, path: &str, token: Option<&str>) -> anyhow::Result<Answer> {
    let url = base.join(path).with_context(|| format!("`{base}` is no web address"))?;
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        bail!("`{base}` is no web address")
    };
    let host = match host {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let net = Net::new(NetSettings::default())?;
    let wish = TlsWish { alpn: vec!["http/1.1"], ..TlsWish::default() };
    let target = Target {
        purpose: Purpose::Probe,
        host: &host,
        port,
        family: watchbell_net::Family::Any,
        tls: (url.scheme() == "https").then_some(&wish),
        proxy: None,
    };
    let dialed = match net.dial(&target, Clock::deadline(PATIENCE)).await {
        Ok(dialed) => dialed,
        Err(why) => bail!(
            "no watchbell answers at {base}: {}; is it running? Another address is given with --url",
            why.reason.text
        ),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(dialed.stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::get(url.path())
        .header("host", url.authority().rsplit('@').next().unwrap_or(&host))
        .header("user-agent", concat!("watchbell/", env!("CARGO_PKG_VERSION")))
        .header("accept", "application/json, text/plain");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Empty::<Bytes>::new()).context("the token cannot be sent; is it copied whole?")?;
    let answer =
        sender.send_request(request).await.with_context(|| format!("{base} did not answer as a watchbell does"))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await.map_err(|why| anyhow::anyhow!("{why}"));
    connection.abort();
    let body = body.with_context(|| format!("the answer of {base} broke off"))?.to_bytes();
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}
