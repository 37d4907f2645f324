//! Through a proxy: `CONNECT` (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928, RFC 1929). The proxy gets the target's
//! name and resolves it; the egress rule is applied to the proxy's own address, and to targets given as an address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::Instant;
use url::Url;
use watchbell_core::{Secret, address};

use crate::bounded::{self, Cut};
use crate::fault::{self, Fault};
use crate::stopwatch::Stopwatch;

/// The answer of a proxy to `CONNECT` is a few lines.
const LARGEST_ANSWER: usize = 16 * 1024;

/// Where a connection goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    pub kind: ProxyKind,
    pub host: String,
    pub port: u16,
    /// User and password.
    pub user: Option<(String, Secret)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// `CONNECT` in the clear.
    Http,
    /// `CONNECT` over TLS.
    Https,
    Socks5,
}

impl FromStr for Proxy {
    type Err = String;

    /// Reads `http://user:password@host:port`, `https://…`, `socks5://…`. The complaint never repeats the text, which
    /// may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write it like http://proxy.example:3128 or socks5://user:password@proxy.example:1080";
        let url = Url::parse(text).map_err(|error| format!("The proxy is not a URL ({error}); {FORM}"))?;
        let (kind, usual_port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Https, 443),
            "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
            other => return Err(format!("`{other}` is not a kind of proxy; use http, https or socks5")),
        };
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| format!("The proxy has no host; {FORM}"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(format!("The proxy has something behind its port; {FORM}"));
        }
        let plain = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let user = (!url.username().is_empty())
            .then(|| (plain(url.username()), Secret::new(plain(url.password().unwrap_or_default()))));
        if let Some((name, password)) = &user
            && kind == ProxyKind::Socks5
            && (name.len() > 255 || password.expose().len() > 255)
        {
            return Err("User and password of a SOCKS5 proxy hold at most 255 bytes each".to_owned());
        }
        Ok(Self { kind, host: host.to_owned(), port: url.port().unwrap_or(usual_port), user })
    }
}

/// Without credentials, for reasons and evidence.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}:{}", self.host, self.port)
    }
}

/// Asks the proxy on the other side of `stream` to connect to `host:port`. Afterwards `stream` leads there.
pub(crate) async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &Proxy,
    host: &str,
    port: u16,
    waiting: &Stopwatch,
    deadline: Instant,
) -> Result<(), Fault> {
    let outcome = match proxy.kind {
        ProxyKind::Http | ProxyKind::Https => connect(stream, proxy, host, port, deadline).await,
        ProxyKind::Socks5 => socks(stream, proxy, host, port, deadline).await,
    };
    outcome.map_err(|stop| match stop {
        Stop::Said(fault) => fault,
        Stop::Cut(Cut::Deadline) => {
            fault::timed_out(format_args!("no connection to {host}:{port} through {proxy}"), waiting.elapsed())
        }
        Stop::Cut(Cut::Broken(error)) => {
            let fault = fault::explain(&error, proxy);
            if fault.local { fault } else { Fault { code: "proxy", ..fault } }
        }
    })
}

/// Why the way through ended.
enum Stop {
    Said(Fault),
    Cut(Cut),
}

impl From<Cut> for Stop {
    fn from(cut: Cut) -> Self {
        Self::Cut(cut)
    }
}

fn said(code: &'static str, text: String) -> Stop {
    Stop::Said(Fault::new(code, text))
}

async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &Proxy,
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<(), Stop> {
    let authority = match address::literal(host) {
        Some(IpAddr::V6(v6)) => format!("[{v6}]:{port}"),
        _ => format!("{host}:{port}"),
    };
    let credentials = proxy.user.as_ref().map_or(String::new(), |(name, password)| {
        let pair = BASE64.encode(format!("{name}:{}", password.expose()).as_bytes());
        format!("Proxy-Authorization: Basic {pair}\r\n")
    });
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n");
    bounded::write_all(stream, request.as_bytes(), deadline).await?;

    // Byte by byte, because what follows the empty line belongs to the target already.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LARGEST_ANSWER {
            return Err(said("proxy", format!("The answer of {proxy} does not end")));
        }
        head.push(bounded::in_time(deadline, stream.read_u8()).await?);
    }
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    match line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|status| status.parse::<u16>().ok()) {
        Some(200..300) => Ok(()),
        Some(407) => Err(said("proxy", format!("Wrong or missing user and password for {proxy}"))),
        Some(_) => Err(said("proxy", format!("No way to {authority} through {proxy}: {line}"))),
        None => Err(said("proxy", format!("The answer of {proxy} is not that of an HTTP proxy: {line}"))),
    }
}

const VERSION: u8 = 5;
const NO_CREDENTIALS: u8 = 0;
const PASSWORD: u8 = 2;

async fn socks<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &Proxy,
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<(), Stop> {
    let greeting: &[u8] =
        if proxy.user.is_some() { &[VERSION, 2, NO_CREDENTIALS, PASSWORD] } else { &[VERSION, 1, NO_CREDENTIALS] };
    bounded::write_all(stream, greeting, deadline).await?;
    let [version, method] = read(stream, deadline).await?;
    if version != VERSION {
        return Err(said("proxy", format!("The answer of {proxy} is not that of a SOCKS5 proxy")));
    }
    match (method, &proxy.user) {
        (NO_CREDENTIALS, _) => {}
        (PASSWORD, Some((name, password))) => {
            let mut message = vec![1];
            for part in [name, password.expose()] {
                message.push(short(part.len()));
                message.extend_from_slice(part.as_bytes());
            }
            bounded::write_all(stream, &message, deadline).await?;
            let [_, status] = read(stream, deadline).await?;
            if status != 0 {
                return Err(said("proxy", format!("Wrong user or password for {proxy}")));
            }
        }
        _ => return Err(said("proxy", format!("A user and password are needed for {proxy}"))),
    }

    let mut request = vec![VERSION, 1, 0];
    match address::literal(host) {
        Some(IpAddr::V4(v4)) => {
            request.push(1);
            request.extend(v4.octets());
        }
        Some(IpAddr::V6(v6)) => {
            request.push(4);
            request.extend(v6.octets());
        }
        None => {
            request.extend([3, short(host.len())]);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    bounded::write_all(stream, &request, deadline).await?;

    let [_, reply, _, kind] = read(stream, deadline).await?;
    match reply {
        0 => {}
        2 => return Err(said("proxy", format!("The rules of {proxy} forbid a connection to {host}:{port}"))),
        3 | 4 => return Err(said("unreachable", format!("Host unreachable through {proxy}: {host}:{port}"))),
        5 => return Err(said("refused", format!("Connection refused by {host}:{port}, through {proxy}"))),
        6 => return Err(said("timeout", format!("Timed out: no answer from {host}:{port} through {proxy}"))),
        other => return Err(said("proxy", format!("No way to {host}:{port} through {proxy} (SOCKS error {other})"))),
    }
    // The address the proxy connects from; of no use, but it stands before the target's first byte.
    let address_length = match kind {
        1 => 4,
        4 => 16,
        3 => {
            let [length] = read(stream, deadline).await?;
            usize::from(length)
        }
        _ => return Err(said("proxy", format!("The answer of {proxy} is not that of a SOCKS5 proxy"))),
    };
    let mut rest = vec![0; address_length + 2];
    bounded::in_time(deadline, stream.read_exact(&mut rest)).await?;
    Ok(())
}

async fn read<const N: usize, S: AsyncRead + Unpin>(stream: &mut S, deadline: Instant) -> Result<[u8; N], Cut> {
    let mut bytes = [0; N];
    bounded::in_time(deadline, stream.read_exact(&mut bytes)).await?;
    Ok(bytes)
}

/// Names are checked to be at most 253 bytes, credentials 255.
fn short(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_written_as_a_url() {
        let proxy: Proxy = "socks5://me:p%40ss@proxy.example:1081".parse().unwrap();
        assert_eq!((proxy.kind, proxy.host.as_str(), proxy.port), (ProxyKind::Socks5, "proxy.example", 1081));
        assert_eq!(proxy.user, Some(("me".to_owned(), Secret::new("p@ss"))));
        assert_eq!(proxy.to_string(), "the proxy proxy.example:1081");
        assert_eq!("https://[::1]".parse::<Proxy>().unwrap().port, 443);
    }

    #[test]
    fn a_bad_proxy_is_refused_without_repeating_its_password() {
        for text in [
            "ftp://u:hunter2@h",
            "hunter2",
            "http://u:hunter2@h/path",
            "http://u:hunter2@:80",
            "socks5://",
            "http://u:hunter2@h:99999",
        ] {
            let complaint = text.parse::<Proxy>().unwrap_err();
            assert!(!complaint.contains("hunter2"), "{complaint}");
        }
    }
}
