//! One HTTP/1.1 request over a fresh connection, and as much of its answer as is worth reading.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use url::{Host, Url};
use watchbell_net::{Family, Net, Proxy, Purpose, Target, TlsWish, fault, stopwatch};

use super::redact::Redactor;
use super::{Limit, not_connected};
use crate::call::parse_url;
use crate::webhook::is_forbidden;
use crate::{Answer, Refusal, Request};

/// Of an answer, no more is read: nobody reads more than a sentence of it.
const MOST_READ: usize = 64 * 1024;
/// Once the status is there the answer is known; a body that trickles does not make us forget it.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
const MOST_HEADERS: usize = 100;

/// Makes the call. An answer of any status is an answer; the channel judges it.
pub(super) async fn send(net: &Net, request: &Request, redactor: &Redactor, limit: Limit) -> Result<Answer, Refusal> {
    let url = parse_url(request.url.expose()).map_err(Refusal::never)?;
    let outgoing = write(request, &url)?;

    let wish = TlsWish { alpn: vec!["http/1.1"], ..request.tls.wish() };
    let proxy =
        request.proxy.as_ref().map(|proxy| proxy.expose().parse::<Proxy>()).transpose().map_err(Refusal::never)?;
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(Refusal::never(format!("{} is an address without a host", request.to))),
    };
    let target = Target {
        purpose: Purpose::Delivery,
        host: &host,
        port: url.port_or_known_default().unwrap_or(443),
        family: Family::Any,
        tls: (url.scheme() == "https").then_some(&wish),
        proxy: proxy.as_ref(),
    };
    let dialed = net.dial(&target, limit.at).await.map_err(|error| not_connected(&error))?;

    let to = &request.to;
    let broken = |error: hyper::Error| {
        let why = fault::chain(&error).join(": ");
        Refusal::later(format!("The connection to {to} broke before an answer: {why}"))
    };
    let connecting = http1::Builder::new()
        // Names are not to depend on case, but the simplest receivers are not HTTP libraries.
        .title_case_headers(true)
        .max_buf_size(MOST_READ)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(dialed.stream));
    let (mut sender, connection) = limit.bound(&format!("no connection to {to}"), connecting).await?.map_err(broken)?;
    let _driver = Driver(tokio::spawn(async move {
        // Its errors reach us by the sender and the body.
        let _ = connection.await;
    }));
    let response =
        limit.bound(&format!("no answer from {to}"), sender.send_request(outgoing)).await?.map_err(broken)?;

    let (head, body) = response.into_parts();
    let body = read(body, limit).await;
    let text = String::from_utf8_lossy(&body);
    Ok(Answer {
        to: to.clone(),
        status: head.status.as_u16(),
        retry_after: retry_after(&head.headers),
        location: location(&url, &head.headers),
        body: if body.len() < MOST_READ { redactor.redact(&text) } else { redactor.redact_cut(&text) },
    })
}

/// Ends the connection with the delivery.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn write(request: &Request, url: &Url) -> Result<http::Request<Full<Bytes>>, Refusal> {
    let mut headers = HeaderMap::new();
    let text =
        |text: &str| HeaderValue::from_str(text).map_err(|_| Refusal::never("A header holds what cannot be sent"));
    headers.insert(header::HOST, text(&url[url::Position::BeforeHost..url::Position::AfterPort])?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("Watchbell/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &request.headers {
        let unusable = || Refusal::never(format!("The header {name} cannot be sent; check the channel's headers"));
        let parsed = HeaderName::from_str(name).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| unusable())?;
        value.set_sensitive(true);
        if is_forbidden(&parsed) {
            return Err(unusable());
        }
        headers.insert(parsed, value);
    }
    let mut outgoing = http::Request::new(Full::new(Bytes::from(request.body.clone())));
    *outgoing.method_mut() = request.method.parse().map_err(|_| Refusal::never("The method cannot be sent"))?;
    *outgoing.uri_mut() = url[url::Position::BeforePath..url::Position::AfterQuery]
        .parse()
        .map_err(|_| Refusal::never("The url cannot be sent; check it for unusual characters"))?;
    *outgoing.headers_mut() = headers;
    Ok(outgoing)
}

/// The first bytes of the body; a body that breaks off or takes too long is as long as it came.
async fn read(mut body: Incoming, limit: Limit) -> Vec<u8> {
    let until = limit.at.min(stopwatch::deadline_in(BODY_PATIENCE));
    let mut read = Vec::new();
    while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(until, body.frame()).await {
        let data = frame.data_ref().map_or(&[][..], |data| data);
        read.extend_from_slice(&data[..data.len().min(MOST_READ - read.len())]);
        if read.len() == MOST_READ {
            break;
        }
    }
    read
}

/// `Retry-After` in seconds, or as a date: then relative to the answer's own `Date`, so that nobody's clock matters.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(secs) = text.parse::<u32>() {
        return Some(Duration::from_secs(secs.into()));
    }
    let moment = |text: &str| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
    let now = moment(headers.get(header::DATE)?.to_str().ok()?)?;
    Duration::try_from(now.until(moment(text)?).ok()?).ok()
}

/// Where a redirect leads, without its path.
fn location(from: &Url, headers: &HeaderMap) -> Option<String> {
    let to = from.join(headers.get(header::LOCATION)?.to_str().ok()?).ok()?;
    to.has_host().then(|| to.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_beside_the_answers_own() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (given, secs) in [
            (headers(&[("retry-after", "120")]), Some(120)),
            (headers(&[("retry-after", " 0 ")]), Some(0)),
            (headers(&[date, ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(60)),
            (headers(&[date, ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), None),
            (headers(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), None),
            (headers(&[date, ("retry-after", "soon")]), None),
            (headers(&[("retry-after", "-5")]), None),
            (headers(&[("retry-after", "99999999999999")]), None),
            (headers(&[]), None),
        ] {
            assert_eq!(retry_after(&given), secs.map(Duration::from_secs), "{given:?}");
        }
    }

    #[test]
    fn only_the_origin_of_a_redirect_is_told() {
        let from = Url::parse("https://a.example/hook").unwrap();
        for (given, told) in [
            ("https://b.example/secret?x=y", Some("https://b.example")),
            ("/elsewhere", Some("https://a.example")),
            ("mailto:a@b.example", None),
        ] {
            assert_eq!(location(&from, &headers(&[("location", given)])).as_deref(), told);
        }
    }
}
