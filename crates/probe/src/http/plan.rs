//! Everything about a check that does not change from one to the next, worked out once: addresses parsed, headers
//! built, expressions compiled. Working it out is also what validates the settings, so nothing passes the one and
//! fails the other.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use data_encoding::BASE64;
use http::uri::Authority;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use watchbell_core::Secret;
use watchbell_core::kind::Complaint;
use watchbell_net::{ClientIdentity, Proxy, TlsWish};

use super::judge::Rules;
use super::oauth2::TokenSource;
use super::place::{self, Place};
use super::settings::{Auth, Body, HttpVersion, Tls};
use super::{Http, settings};

/// Longer request bodies belong into a load test.
const LONGEST_BODY: usize = 256 * 1024;

/// The largest number of redirects anybody may wish for.
const MOST_REDIRECTS: u8 = 20;

/// What the answer may be at least and at most, unpacked.
pub(crate) const BODY_LIMITS: std::ops::RangeInclusive<u32> = 1024..=16 * 1024 * 1024;

/// A check, ready to be made.
pub(crate) struct Plan {
    pub(crate) place: Place,
    pub(crate) method: hyper::Method,
    /// `None`: the usual ones. Most monitors have these, and each map takes a kilobyte.
    headers: Option<Box<HeaderMap>>,
    pub(crate) body: Bytes,
    /// `None`: the usual one, for the version of HTTP.
    tls: Option<Box<TlsWish>>,
    version: HttpVersion,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) rules: Rules,
    pub(crate) tokens: Option<Box<TokenSource>>,
}

/// Where settings keep their [`Plan`] once it is made.
///
/// It is no part of the value: it is neither stored nor compared, a clone begins without one, and whoever changes
/// settings in place after the first check must do so on a clone.
#[derive(Default)]
pub(crate) struct Memo(OnceLock<Result<Arc<Plan>, Vec<Complaint>>>);

impl Memo {
    pub(crate) fn plan(&self, http: &Http) -> Result<&Arc<Plan>, &[Complaint]> {
        self.0.get_or_init(|| Plan::new(http).map(Arc::new)).as_ref().map_err(Vec::as_slice)
    }
}

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Memo {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("_")
    }
}

impl Plan {
    pub(crate) fn new(http: &Http) -> Result<Self, Vec<Complaint>> {
        let mut complaints = Complaints::default();
        let url = complaints.take("url", place::parse(http.url.as_str()));
        let place = url.as_ref().and_then(|url| complaints.take("url", Place::from_url(url)));
        let body = request_body(http, &mut complaints);
        let headers =
            place.as_ref().zip(url.as_ref()).map(|(place, url)| request_headers(http, place, url, &mut complaints));
        let version = http.http_version;
        let tls = http.tls.as_ref().map(|tls| Box::new(tls_wish(tls, version, &mut complaints)));
        let proxy = http.proxy.as_ref().and_then(|proxy| complaints.take("proxy", proxy.expose().parse::<Proxy>()));
        let rules = Rules::new(http, &mut complaints);
        let tokens = match http.auth.as_deref() {
            Some(Auth::OAuth2(settings)) => TokenSource::new(settings, &mut complaints).map(Box::new),
            _ => None,
        };
        limits(http, &mut complaints);
        match (place, headers) {
            (Some(place), Some(headers)) if complaints.0.is_empty() => {
                let headers = (headers != usual_headers(&place)).then(|| Box::new(headers));
                Ok(Self { place, method: http.method.to_http(), headers, body, tls, version, proxy, rules, tokens })
            }
            _ => Err(complaints.0),
        }
    }

    /// All headers for the first place, `Host` included. `Connection` is not: it depends on the protocol.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.headers.as_ref().map_or_else(|| usual_headers(&self.place), |headers| headers.as_ref().clone())
    }

    pub(crate) fn tls(&self) -> &TlsWish {
        static USUAL: OnceLock<[TlsWish; 3]> = OnceLock::new();
        self.tls.as_deref().unwrap_or_else(|| {
            let versions = [HttpVersion::Auto, HttpVersion::One, HttpVersion::Two];
            let usual = USUAL.get_or_init(|| versions.map(|it| TlsWish { alpn: protocols(it), ..TlsWish::default() }));
            &usual[self.version as usize]
        })
    }
}

/// What is wrong with the settings, gathered.
#[derive(Default)]
pub(crate) struct Complaints(Vec<Complaint>);

impl Complaints {
    pub(crate) fn add(&mut self, field: impl Into<String>, sentence: impl Into<String>) {
        self.0.push(Complaint::new(field, sentence));
    }

    pub(crate) fn take<T, E: ToString>(&mut self, field: impl Into<String>, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.add(field, error.to_string())).ok()
    }
}

fn limits(http: &Http, complaints: &mut Complaints) {
    if http.redirects > MOST_REDIRECTS {
        complaints.add("redirects", format!("at most {MOST_REDIRECTS} redirects can be followed"));
    }
    if !BODY_LIMITS.contains(&http.max_body) {
        let (least, most) = (BODY_LIMITS.start(), BODY_LIMITS.end());
        complaints.add("max_body", format!("it is a number of bytes from {least} to {most}"));
    }
    if http.accept.is_empty() {
        complaints.add("accept", "an empty list accepts nothing; leave it out to accept 200-299");
    }
}

fn request_body(http: &Http, complaints: &mut Complaints) -> Bytes {
    let body: Bytes = match http.body.as_deref() {
        None => return Bytes::new(),
        Some(Body::Json(value)) => value.to_string().into(),
        Some(Body::Form(fields)) => {
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into()
        }
        Some(Body::Text(text)) => text.clone().into(),
    };
    if body.len() > LONGEST_BODY {
        complaints
            .add("body", format!("a request body may have at most {LONGEST_BODY} bytes; this one has {}", body.len()));
    }
    if matches!(http.method, settings::Method::Trace) {
        complaints.add("body", "a TRACE request cannot have a body (RFC 9110, section 9.3.8)");
    }
    body
}

/// What a person may not set: the connection's own business, and how long the body is.
const RESERVED: [HeaderName; 9] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
];

fn usual_headers(place: &Place) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(header::HOST, place.authority.clone());
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

fn request_headers(http: &Http, place: &Place, url: &url::Url, complaints: &mut Complaints) -> HeaderMap {
    let mut headers = usual_headers(place);
    if let Some(name) = &http.user_agent
        && let Some(name) = complaints.take("user_agent", HeaderValue::from_str(name).map_err(|_| NOT_A_VALUE))
    {
        headers.insert(header::USER_AGENT, name);
    }
    if http.decompress {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br"));
    }
    match http.body.as_deref() {
        Some(Body::Json(_)) => headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        Some(Body::Form(_)) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        }
        Some(Body::Text(_)) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
        }
        // Some servers wait for a body that was not announced to be empty.
        None if matches!(http.method, settings::Method::Post | settings::Method::Put | settings::Method::Patch) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"))
        }
        None => None,
    };
    for (name, value) in &http.headers {
        let field = format!("headers.{name}");
        let name = complaints.take(&field, header_name(name));
        let value = complaints.take(&field, HeaderValue::from_str(value.expose()).map_err(|_| NOT_A_VALUE));
        if let Some((name, value)) = name.zip(value) {
            headers.insert(name, value);
        }
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    if host.is_none() {
        complaints.add("headers.Host", "it is a host, with a port if need be, such as shop.example.org:8080");
    }
    if let Some((name, value)) = credentials(http, url, complaints) {
        headers.insert(name, value);
    }
    headers
}

pub(crate) const USER_AGENT: &str = concat!("Watchbell/", env!("CARGO_PKG_VERSION"));

const NOT_A_VALUE: &str = "a header value is one line of printable characters";

fn header_name(name: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is no header name; use letters, digits and hyphens"))?;
    if RESERVED.contains(&name) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings") {
        return Err(format!("`{name}` is set by Watchbell itself and cannot be changed"));
    }
    Ok(name)
}

/// The header that proves who asks: from `auth`, else from the address.
fn credentials(http: &Http, url: &url::Url, complaints: &mut Complaints) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match http.auth.as_deref() {
        Some(Auth::Basic(basic)) => {
            if basic.user.contains(':') {
                complaints.add("auth.basic.user", "a user name cannot contain a colon (RFC 7617, section 2)");
            }
            (header::AUTHORIZATION, Ok(basic_value(&basic.user, basic.password.expose())))
        }
        Some(Auth::Bearer(bearer)) => {
            let value = HeaderValue::from_str(&format!("Bearer {}", bearer.token.expose().trim()));
            (header::AUTHORIZATION, value.map_err(|_| ("auth.bearer.token", NOT_A_VALUE)))
        }
        Some(Auth::Header(credential)) => {
            let name = complaints.take("auth.header.name", header_name(&credential.name))?;
            let value = HeaderValue::from_str(credential.value.expose().trim());
            (name, value.map_err(|_| ("auth.header.value", NOT_A_VALUE)))
        }
        Some(Auth::OAuth2(_)) => return None,
        None if url.username().is_empty() && url.password().is_none() => return None,
        None => {
            let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            (header::AUTHORIZATION, Ok(basic_value(&plain(url.username()), &plain(url.password().unwrap_or_default()))))
        }
    };
    match value {
        Ok(mut value) => {
            value.set_sensitive(true);
            Some((name, value))
        }
        Err((field, sentence)) => {
            complaints.add(field, sentence);
            None
        }
    }
}

/// `Basic …`, as RFC 7617 wants it.
pub(crate) fn basic_value(user: &str, password: &str) -> HeaderValue {
    let encoded = BASE64.encode(format!("{user}:{password}").as_bytes());
    HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 is printable")
}

fn tls_wish(tls: &Tls, version: HttpVersion, complaints: &mut Complaints) -> TlsWish {
    let ca_pem = tls.ca.as_deref().filter(|pem| {
        let found = has_certificates(pem);
        if !found {
            complaints
                .add("tls.ca", "no certificate in PEM form was found; it begins with -----BEGIN CERTIFICATE-----");
        }
        found
    });
    let client = match (&tls.client_certificate, &tls.client_key) {
        (None, None) => None,
        (Some(chain), Some(key)) => client_identity(chain, key, complaints),
        (Some(_), None) => {
            complaints.add("tls.client_key", "a client certificate needs its private key");
            None
        }
        (None, Some(_)) => {
            complaints.add("tls.client_certificate", "a private key needs its certificate");
            None
        }
    };
    if let Some(name) = &tls.server_name
        && rustls_pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        complaints.add("tls.server_name", format!("`{name}` is neither a host name nor an IP address"));
    }
    let wish = TlsWish {
        verify: tls.verify,
        minimum: tls.minimum,
        alpn: protocols(version),
        server_name: tls.server_name.clone(),
        client,
        ca_pem: ca_pem.map(str::to_owned),
    };
    if wish.client.is_some() || wish.ca_pem.is_some() {
        complaints.take("tls", wish.check());
    }
    wish
}

fn protocols(version: HttpVersion) -> Vec<&'static str> {
    match version {
        HttpVersion::Auto => vec!["h2", "http/1.1"],
        HttpVersion::One => vec!["http/1.1"],
        HttpVersion::Two => vec!["h2"],
    }
}

fn has_certificates(pem: &str) -> bool {
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
    certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok())
}

fn client_identity(chain: &str, key: &Secret, complaints: &mut Complaints) -> Option<ClientIdentity> {
    if !has_certificates(chain) {
        complaints.add(
            "tls.client_certificate",
            "no certificate in PEM form was found; it begins with -----BEGIN CERTIFICATE-----",
        );
        return None;
    }
    if PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).is_err() {
        complaints
            .add("tls.client_key", "no private key in PEM form was found; it begins with -----BEGIN PRIVATE KEY-----");
        return None;
    }
    Some(ClientIdentity { chain_pem: chain.to_owned(), key_pem: key.clone() })
}
