//! The one way out. Every outbound connection of the product, whether it asks or tells, is opened here:
//! names resolved by our own resolver, the egress rule applied to the *resolved* address at connect time,
//! TLS by one configuration, each phase timed, everything within a deadline.

pub mod bounded;
mod connect;
pub mod fault;
mod proxy;
mod resolve;
pub mod stopwatch;
mod stream;
mod tls;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use watchbell_core::Phases;
use watchbell_core::address::{self, Egress};

pub use fault::{DialError, Fault};
pub use proxy::{Proxy, ProxyKind};
pub use stream::Stream;
pub use tls::{ClientIdentity, TlsSeen, TlsVersion, TlsWish, Verify, provider};
pub use watchbell_core::address::Purpose;

use resolve::Resolver;
use stopwatch::Stopwatch;
use tls::TlsConfigs;

/// Opens connections. Cloning it is cheap; all clones are one.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    egress: Egress,
    resolver: Resolver,
    tls: TlsConfigs,
}

/// What an installation decides about its way out.
#[derive(Clone, Debug, Default)]
pub struct NetSettings {
    pub egress: Egress,
    /// Name servers to ask; empty: those of the system.
    pub nameservers: Vec<SocketAddr>,
}

/// The way out cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NetSetupError {
    #[error("{variable} names no usable certificate authorities: {why}")]
    Roots { variable: &'static str, why: String },
}

/// Which address family to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Whatever the name gives: IPv4, and beside it IPv6 if IPv4 does not answer within 250 ms.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    pub fn includes(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "IP",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Where to, and how.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub purpose: Purpose,
    /// A name, or an address, IPv6 with or without brackets.
    pub host: &'a str,
    pub port: u16,
    /// Through a proxy, the proxy chooses, and this has no say.
    pub family: Family,
    /// `None`: in the clear.
    pub tls: Option<&'a TlsWish>,
    pub proxy: Option<&'a Proxy>,
}

/// An open connection, and what was seen on the way to it.
#[derive(Debug)]
pub struct Dialed {
    pub stream: Stream,
    pub phases: Phases,
    /// What we are connected to: the target, or the proxy.
    pub address: SocketAddr,
    pub tls: Option<TlsSeen>,
}

impl Net {
    /// Reads the certificate authorities, `/etc/hosts` and `/etc/resolv.conf`. A machine without a resolver is no
    /// error here: it can still ask addresses, and each name says why it cannot be resolved.
    pub fn new(settings: NetSettings) -> Result<Self, NetSetupError> {
        Ok(Self(Arc::new(Inner {
            egress: settings.egress,
            resolver: Resolver::new(settings.nameservers),
            tls: TlsConfigs::new(tls::load_roots()?),
        })))
    }

    /// Opens a connection; never longer than until `deadline`. Dropping the future closes what is open.
    pub async fn dial(&self, target: &Target<'_>, deadline: Instant) -> Result<Dialed, Box<DialError>> {
        let watch = Stopwatch::start();
        let mut steps = watch;
        let mut phases = Phases::default();

        let host = ascii(target.host).map_err(|fault| fault.into_dial_error(phases, None))?;
        let (first_host, first_port, family) = match target.proxy {
            None => (host.as_ref(), target.port, target.family),
            Some(proxy) => {
                if let Some(address) = address::literal(&host) {
                    self.judge(target.purpose, &host, &[address])
                        .map_err(|fault| fault.into_dial_error(phases, None))?;
                }
                (proxy.host.as_str(), proxy.port, Family::Any)
            }
        };

        let resolved = self.0.resolver.resolve(first_host, family, deadline).await;
        if address::literal(first_host).is_none() {
            phases.dns_us = Some(steps.lap());
        }
        let addresses = resolved
            .and_then(|found| self.judge(target.purpose, first_host, &found))
            .map_err(|fault| fault.into_dial_error(phases, None))?;

        let connected = connect::connect(&addresses, first_port, &watch, deadline).await;
        phases.connect_us = Some(steps.lap());
        let (tcp, address) = connected.map_err(|(fault, address)| {
            let fault = if target.proxy.is_some() { at_proxy(fault) } else { fault };
            fault.into_dial_error(phases, Some(address))
        })?;

        let way = Way { net: self, target, host: &host, address, watch: &watch, deadline };
        let stream = match target.proxy {
            None => Stream::Tcp(tcp),
            Some(proxy) => {
                let through = way.through(proxy, tcp).await;
                phases.connect_us = phases.connect_us.map(|connect| connect.saturating_add(steps.lap()));
                through.map_err(|fault| fault.into_dial_error(phases, Some(address)))?
            }
        };
        let Some(wish) = target.tls else { return Ok(Dialed { stream, phases, address, tls: None }) };
        let secured = way.secure(stream, wish).await;
        phases.tls_us = Some(steps.lap());
        match secured {
            Ok((stream, seen)) => Ok(Dialed { stream, phases, address, tls: Some(seen) }),
            Err((fault, seen)) => {
                let mut error = fault.into_dial_error(phases, Some(address));
                error.tls = seen;
                Err(error)
            }
        }
    }

    /// The addresses of `host`, at least one, not yet judged by the egress rule.
    pub async fn resolve(&self, host: &str, family: Family, deadline: Instant) -> Result<Vec<IpAddr>, Box<DialError>> {
        let mut watch = Stopwatch::start();
        let found = match ascii(host) {
            Ok(host) => self.0.resolver.resolve(&host, family, deadline).await,
            Err(fault) => Err(fault),
        };
        found.map_err(|fault| {
            let phases = Phases { dns_us: Some(watch.lap()), ..Phases::default() };
            fault.into_dial_error(phases, None)
        })
    }

    /// Whether the egress rule permits a connection to `address`; else its refusal as a sentence.
    pub fn permits(&self, purpose: Purpose, address: IpAddr) -> Result<(), String> {
        self.0.egress.permits(purpose, address).map_err(|refusal| refusal.to_string())
    }

    /// Those of `found` that may be connected to; a refusal if there are none.
    fn judge(&self, purpose: Purpose, host: &str, found: &[IpAddr]) -> Result<Vec<IpAddr>, Fault> {
        let mut refusal = None;
        let mut permitted = Vec::with_capacity(found.len());
        for address in found {
            match self.0.egress.permits(purpose, *address) {
                Ok(()) => permitted.push(*address),
                Err(why) => refusal = refusal.or(Some((*address, why))),
            }
        }
        match refusal {
            Some((address, why)) if permitted.is_empty() => Err(Fault::new(
                "egress",
                if address::literal(host).is_some() { why.to_string() } else { format!("{host} is {address}. {why}") },
            )),
            _ => Ok(permitted),
        }
    }
}

/// What the steps after the first connection share.
struct Way<'a> {
    net: &'a Net,
    target: &'a Target<'a>,
    host: &'a str,
    address: SocketAddr,
    watch: &'a Stopwatch,
    deadline: Instant,
}

impl Way<'_> {
    async fn through(&self, proxy: &Proxy, tcp: tokio::net::TcpStream) -> Result<Stream, Fault> {
        let mut stream = if proxy.kind == ProxyKind::Https {
            // Whoever has a private authority has it for the proxy too.
            let ca_pem = self.target.tls.and_then(|wish| wish.ca_pem.clone());
            let wish = TlsWish { ca_pem, ..TlsWish::default() };
            let config = self.net.0.tls.get(&wish).map_err(|why| Fault::local("proxy", why))?;
            let (tls, _) = tls::handshake(tcp, config, &proxy.host, proxy, self.watch, self.deadline)
                .await
                .map_err(|(fault, _)| at_proxy(Fault { text: format!("{proxy}: {}", fault.text), ..fault }))?;
            Stream::Tls(Box::new(tls))
        } else {
            Stream::Tcp(tcp)
        };
        proxy::tunnel(&mut stream, proxy, self.host, self.target.port, self.watch, self.deadline).await?;
        Ok(stream)
    }

    async fn secure(&self, stream: Stream, wish: &TlsWish) -> Result<(Stream, TlsSeen), tls::HandshakeError> {
        // Checked when it was saved; if it is unusable all the same, that is our side's doing.
        let config = self.net.0.tls.get(wish).map_err(|why| (Fault::local("tls", why), None))?;
        let name = wish.server_name.as_deref().unwrap_or(self.host);
        let peer: &(dyn fmt::Display + Sync) = match self.target.proxy {
            None => &self.address,
            Some(_) => &self.host,
        };
        match stream {
            Stream::Tcp(tcp) => {
                let (tls, seen) = tls::handshake(tcp, config, name, peer, self.watch, self.deadline).await?;
                Ok((Stream::Tls(Box::new(tls)), seen))
            }
            Stream::Tls(outer) => {
                let (tls, seen) = tls::handshake(*outer, config, name, peer, self.watch, self.deadline).await?;
                Ok((Stream::Nested(Box::new(tls)), seen))
            }
            Stream::Nested(_) => unreachable!("only a TLS target behind a TLS proxy is nested, and that is made here"),
        }
    }
}

/// What a proxy did is not what the target did.
fn at_proxy(fault: Fault) -> Fault {
    if fault.local || fault.code == "timeout" { fault } else { Fault { code: "proxy", ..fault } }
}

/// The host as it goes over the wire: ASCII, no longer than a name can be, nothing that ends a line or a request.
fn ascii(host: &str) -> Result<Cow<'_, str>, Fault> {
    let wrong = || {
        let shown = watchbell_core::finding::clean(host, 80);
        Fault::new("name", format!("`{shown}` cannot be a host name"))
    };
    let host = if host.is_ascii() {
        Cow::Borrowed(host)
    } else {
        match url::Host::parse(host) {
            Ok(url::Host::Domain(domain)) => Cow::Owned(domain),
            // "①②⑦.0.0.1" folds into an address; nobody writes that by accident.
            _ => return Err(wrong()),
        }
    };
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(usable) { Err(wrong()) } else { Ok(host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_made_fit_for_the_wire_or_refused() {
        assert_eq!(ascii("shop.example").unwrap(), "shop.example");
        assert_eq!(ascii("müller.example").unwrap(), "xn--mller-kva.example");
        assert_eq!(ascii("_dmarc.example.").unwrap(), "_dmarc.example.");
        assert_eq!(ascii("[::1]").unwrap(), "[::1]");
        for host in ["", "a b", "a\r\nHost: b", "①②⑦.0.0.1", "a/b", "a@b", "fe80::1%eth0", &"x".repeat(254)] {
            assert!(ascii(host).unwrap_err().text.ends_with("cannot be a host name"), "{host}");
        }
    }
}
