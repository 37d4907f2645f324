//! What was seen of an answer, and the finding it makes. On success the evidence is light, since it is thrown away most
//! of the time; on failure it holds what a person needs to believe it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use http::response::Parts;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{StatusCode, Version};
use watchbell_core::finding::{Row, clean};
use watchbell_core::{Evidence, Finding, Outcome, Phases, Timestamp};
use watchbell_net::{DialError, TlsSeen};

/// Header lines shown of an answer.
const MOST_HEADERS: usize = 40;

/// What was seen so far; it becomes the evidence whether or not the check ends well.
#[derive(Default)]
pub(crate) struct Seen {
    /// Of the last request.
    pub(crate) phases: Phases,
    /// Of the last request.
    pub(crate) address: Option<SocketAddr>,
    /// Whether the address is a proxy's.
    pub(crate) is_proxied: bool,
    /// Of the last request.
    pub(crate) tls: Option<TlsSeen>,
    /// Of all requests, the earliest.
    pub(crate) expires_at: Option<Timestamp>,
    /// Of the last answer.
    pub(crate) head: Option<Parts>,
    pub(crate) body: Option<Size>,
    /// The first bytes of the body, of a failure.
    pub(crate) start: Vec<u8>,
    /// Each with its status, where it led, and what is remarkable about it.
    pub(crate) redirects: Vec<String>,
    /// Whether the connection was kept from the check before.
    pub(crate) connection: Option<&'static str>,
    /// How many rules hold, and which do not.
    pub(crate) rules: Option<String>,
    pub(crate) errors: Vec<String>,
}

/// How much of a body came.
pub(crate) struct Size {
    pub(crate) received: u64,
    pub(crate) is_whole: bool,
}

impl Seen {
    /// Notes what a connection showed.
    pub(crate) fn note_tls(&mut self, tls: Option<TlsSeen>) {
        let expires_at = tls.as_ref().and_then(|tls| tls.expires_at);
        self.expires_at = [self.expires_at, expires_at].into_iter().flatten().min();
        self.tls = tls;
    }

    /// Notes a connection that could not be made, and says what that means.
    pub(crate) fn note_dial_error(&mut self, error: DialError) -> Outcome {
        self.phases = error.phases;
        self.address = error.address;
        self.errors = error.chain;
        self.note_tls(error.tls);
        if error.local { Outcome::Local(error.reason) } else { Outcome::Fail(error.reason) }
    }

    pub(crate) fn into_finding(self, outcome: Outcome, took: Duration, now: Timestamp) -> Finding {
        let evidence = self.evidence(matches!(outcome, Outcome::Ok), now);
        Finding { outcome, took, phases: self.phases, expires_at: self.expires_at, evidence }
    }

    fn evidence(&self, is_success: bool, now: Timestamp) -> Evidence {
        let mut evidence = Evidence { rows: Vec::with_capacity(8), ..Evidence::default() };
        let mut row = |name: &'static str, value: String| evidence.rows.push(Row { name: name.into(), value });
        if let Some(head) = &self.head {
            row("Status", status_line(head.status, reason_phrase(head)));
            if let Some(server) = head.headers.get(header::SERVER) {
                row("Server", clean(&String::from_utf8_lossy(server.as_bytes()), Evidence::LONGEST_VALUE));
            }
            if let Some(size) = &self.body {
                row("Body", described(size, &head.headers));
            }
        }
        if let Some(address) = self.address {
            row(if self.is_proxied { "Proxy" } else { "Address" }, address.to_string());
        }
        if let Some(tls) = self.tls.as_ref().filter(|tls| tls.chain_length > 0) {
            row("Certificate", certificate(tls, now));
            if let Some(complaint) = &tls.complaint {
                row("Complaint", complaint.clone());
            }
            if !is_success {
                row("Issuer", tls.issuer.clone());
                row("Names", clean(&tls.names.join(", "), Evidence::LONGEST_VALUE));
            }
        }
        if let Some(protocol) = self.protocol() {
            row("Protocol", protocol);
        }
        if !self.redirects.is_empty() {
            row("Redirects", clean(&self.redirects.join("; "), Evidence::LONGEST_VALUE));
        }
        if let Some(connection) = self.connection {
            row("Connection", connection.to_owned());
        }
        if let Some(rules) = &self.rules {
            row("Rules", clean(rules, Evidence::LONGEST_VALUE));
        }
        if !is_success {
            evidence.headers = self.head.as_ref().map(|head| header_rows(&head.headers)).unwrap_or_default();
            evidence.body = (!self.start.is_empty()).then(|| as_text(&self.start));
            evidence.errors.clone_from(&self.errors);
        }
        evidence
    }

    fn protocol(&self) -> Option<String> {
        let version = self.head.as_ref().map(|head| match head.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2",
            _ => "HTTP/1.1",
        });
        let tls = self.tls.as_ref().map(|tls| tls.version.as_str()).filter(|version| !version.is_empty());
        match (version, tls) {
            (Some(version), Some(tls)) => Some(format!("{version}, {tls}")),
            (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
            (None, None) => None,
        }
    }
}

/// What the server said beside the code, if it is not the usual phrase.
fn reason_phrase(head: &Parts) -> Option<&[u8]> {
    head.extensions.get::<hyper::ext::ReasonPhrase>().map(hyper::ext::ReasonPhrase::as_bytes)
}

/// `502 Bad Gateway`
pub(crate) fn status_line(status: StatusCode, said: Option<&[u8]>) -> String {
    match (status.canonical_reason(), said) {
        (Some(reason), _) => format!("{} {reason}", status.as_str()),
        (None, Some(said)) => format!("{} {}", status.as_str(), clean(&String::from_utf8_lossy(said), 60)),
        (None, None) => status.as_str().to_owned(),
    }
}

/// The status of an answer as people read it.
pub(crate) fn status_of(head: &Parts) -> String {
    status_line(head.status, reason_phrase(head))
}

/// `text/html, 12.3 kB`
fn described(size: &Size, headers: &HeaderMap) -> String {
    let part = |name: HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    };
    let mut text = String::with_capacity(40);
    for part in [part(header::CONTENT_TYPE), part(header::CONTENT_ENCODING)] {
        if !part.is_empty() {
            text.extend(part.chars().take(80));
            text.push_str(", ");
        }
    }
    if !size.is_whole {
        text.push_str("more than ");
    }
    bytes(&mut text, size.received);
    text
}

/// `512 bytes`, `12.3 kB`, `1.0 MB`
pub(crate) fn bytes(text: &mut String, count: u64) {
    // Writing to a String cannot fail.
    let _ = match count {
        1 => write!(text, "1 byte"),
        0..1000 => write!(text, "{count} bytes"),
        1000..1_000_000 => write!(text, "{:.1} kB", count as f64 / 1e3),
        _ => write!(text, "{:.1} MB", count as f64 / 1e6),
    };
}

/// `CN shop.example, 71 days left until 2026-05-20`
fn certificate(tls: &TlsSeen, now: Timestamp) -> String {
    let Some(end) = tls.expires_at else { return format!("CN {}", tls.subject) };
    let date = end.to_string();
    let date = date.get(..10).unwrap_or(&date);
    let days = (end.as_secs() - now.as_secs()).div_euclid(86_400);
    match days {
        1 => format!("CN {}, 1 day left until {date}", tls.subject),
        0.. => format!("CN {}, {days} days left until {date}", tls.subject),
        _ => format!("CN {}, expired on {date}", tls.subject),
    }
}

fn header_rows(headers: &HeaderMap) -> Vec<Row> {
    let rows = headers.iter().take(MOST_HEADERS).map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = match name {
            &header::SET_COOKIE => without_cookie(&value),
            &header::AUTHORIZATION | &header::PROXY_AUTHORIZATION => "•••".to_owned(),
            &header::LOCATION => super::place::shown(&value),
            _ => value.into_owned(),
        };
        Row { name: name.as_str().to_owned().into(), value: clean(&value, Evidence::LONGEST_VALUE) }
    });
    rows.collect()
}

/// `session=•••; Path=/; Secure`
fn without_cookie(line: &str) -> String {
    let (cookie, attributes) = line.split_once(';').map_or((line, ""), |(cookie, rest)| (cookie, rest));
    let name = cookie.split_once('=').map_or("", |(name, _)| name);
    if attributes.is_empty() { format!("{name}=•••") } else { format!("{name}=•••;{attributes}") }
}

/// Bytes as text; what is no text stands as `\xNN`.
pub(crate) fn as_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => text.push(c),
                '\r' => {}
                c if c.is_control() => {
                    let _ = write!(text, "\\x{:02x}", u32::from(c));
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_easily() {
        for (count, words) in
            [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (12_345, "12.3 kB"), (1_048_576, "1.0 MB")]
        {
            let mut text = String::new();
            bytes(&mut text, count);
            assert_eq!(text, words);
        }
    }

    #[test]
    fn a_certificate_says_how_long_it_lasts() {
        let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        let until = |moment: &str| {
            let tls = TlsSeen {
                subject: "shop.example".into(),
                expires_at: Some(moment.parse().unwrap()),
                ..TlsSeen::default()
            };
            certificate(&tls, now)
        };
        assert_eq!(until("2026-05-20T14:00:00Z"), "CN shop.example, 71 days left until 2026-05-20");
        assert_eq!(until("2026-03-11T13:00:00Z"), "CN shop.example, 1 day left until 2026-03-11");
        assert_eq!(until("2026-03-10T13:00:00Z"), "CN shop.example, 0 days left until 2026-03-10");
        assert_eq!(until("2026-03-01T00:00:00Z"), "CN shop.example, expired on 2026-03-01");
    }

    #[test]
    fn what_a_body_holds_becomes_text() {
        assert_eq!(as_text("Größe\r\n\u{1b}[31m".as_bytes()), "Größe\n\\x1b[31m");
        assert_eq!(as_text(&[b'a', 0xff, 0, b'b']), "a\\xff\\x00b");
    }

    #[test]
    fn headers_lose_their_cookies_and_have_an_end() {
        let mut headers = HeaderMap::new();
        headers.append(header::SET_COOKIE, "session=canary; Path=/".parse().unwrap());
        headers.append(header::SET_COOKIE, "canary".parse().unwrap());
        for number in 0..60 {
            headers.append("x-number", number.into());
        }
        let rows = header_rows(&headers);
        assert_eq!(rows.len(), MOST_HEADERS);
        assert_eq!((rows[0].value.as_str(), rows[1].value.as_str()), ("session=•••; Path=/", "=•••"));
    }
}
