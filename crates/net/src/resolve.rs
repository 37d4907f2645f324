//! Names to addresses, by our own resolver and without a cache: what a monitor sees is what the name says now.
//! `/etc/hosts` and `/etc/resolv.conf` are honoured, and read again when they change; libc is never asked.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::{Instant, timeout, timeout_at};
use watchbell_core::address;

use crate::Family;
use crate::fault::{self, Fault};
use crate::stopwatch::Stopwatch;

const HOSTS_FILE: &str = "/etc/hosts";
const RESOLV_FILE: &str = "/etc/resolv.conf";

/// How often the two files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// One round of asking all servers. The system's own setting counts if it is shorter.
const ROUND: Duration = Duration::from_secs(3);

/// When one family has answered, the other gets this much longer (RFC 8305, section 3).
const OTHER_FAMILY: Duration = Duration::from_millis(50);

/// More addresses than this in one answer are not looked at.
const MOST_ADDRESSES: usize = 64;

pub(crate) struct Resolver {
    /// Empty: those of the system.
    nameservers: Vec<SocketAddr>,
    loaded: Mutex<Loaded>,
}

/// What the two files said when they were last read.
struct Loaded {
    hosts: Arc<Hosts>,
    /// Or why there is none.
    dns: Result<TokioResolver, String>,
    stamps: [Stamp; 2],
    looked: Stopwatch,
}

/// Enough to see that a file changed.
type Stamp = Option<(SystemTime, u64)>;

type Hosts = HashMap<String, Vec<IpAddr>>;

impl Resolver {
    pub(crate) fn new(nameservers: Vec<SocketAddr>) -> Self {
        let loaded = Mutex::new(load(&nameservers, stamps()));
        Self { nameservers, loaded }
    }

    /// The addresses of `host`, never none of them. `host` is a name, or an address, which needs no asking.
    pub(crate) async fn resolve(&self, host: &str, family: Family, deadline: Instant) -> Result<Vec<IpAddr>, Fault> {
        let found = match address::literal(host) {
            Some(address) => vec![address],
            None => self.resolve_name(host, family, deadline).await?,
        };
        let wanted: Vec<_> =
            found.into_iter().filter(|address| family.includes(*address)).take(MOST_ADDRESSES).collect();
        if wanted.is_empty() { Err(Fault::new("name", format!("{host} has no {family} address"))) } else { Ok(wanted) }
    }

    async fn resolve_name(&self, host: &str, family: Family, deadline: Instant) -> Result<Vec<IpAddr>, Fault> {
        let host = host.to_ascii_lowercase();
        let bare = host.strip_suffix('.').unwrap_or(&host);
        // RFC 6761: never a question for a server.
        if bare == "localhost" || bare.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let (hosts, dns) = self.current();
        if let Some(known) = hosts.get(bare) {
            return Ok(known.clone());
        }
        let name = Name::from_str_relaxed(&host)
            .map_err(|error| Fault::new("name", format!("`{host}` cannot be a host name")).because(&error))?;
        let dns =
            dns.map_err(|why| Fault::local("resolver", format!("No name can be resolved on this machine: {why}")))?;

        let watch = Stopwatch::start();
        let answer = timeout_at(deadline, ask(&dns, &name, family)).await.unwrap_or(Err(NetError::Timeout));
        answer.map_err(|error| explain(bare, family, &error, &watch))
    }

    fn current(&self) -> (Arc<Hosts>, Result<TokioResolver, String>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() > LOOK_AGAIN {
            let stamps = stamps();
            if stamps == loaded.stamps {
                loaded.looked = Stopwatch::start();
            } else {
                tracing::info!("{HOSTS_FILE} or {RESOLV_FILE} changed; names are resolved accordingly from now on");
                *loaded = load(&self.nameservers, stamps);
            }
        }
        (loaded.hosts.clone(), loaded.dns.clone())
    }
}

async fn ask(dns: &TokioResolver, name: &Name, family: Family) -> Result<Vec<IpAddr>, NetError> {
    let records = async |kind| -> Result<Vec<IpAddr>, NetError> {
        let answer = dns.lookup(name.clone(), kind).await?;
        Ok(answer.answers().iter().filter_map(|record| record.data.ip_addr()).collect())
    };
    match family {
        Family::V4 => records(RecordType::A).await,
        Family::V6 => records(RecordType::AAAA).await,
        Family::Any => {
            let (mut v4, mut v6) = (std::pin::pin!(records(RecordType::A)), std::pin::pin!(records(RecordType::AAAA)));
            let (first, other_in_time) = tokio::select! {
                first = &mut v4 => {
                    let patience = patience(&first);
                    (first, timeout(patience, v6).await.ok())
                }
                first = &mut v6 => {
                    let patience = patience(&first);
                    (first, timeout(patience, v4).await.ok())
                }
            };
            match (first, other_in_time) {
                (Ok(mut found), other) => {
                    found.extend(other.and_then(Result::ok).unwrap_or_default());
                    Ok(found)
                }
                (Err(_), Some(Ok(found))) => Ok(found),
                // "There is no such record" from one family does not excuse that the other was not answered at all.
                (Err(first), Some(Err(other))) => Err(if first.is_no_records_found() { other } else { first }),
                (Err(first), None) => Err(first),
            }
        }
    }
}

/// How much longer the other family may take.
fn patience(first: &Result<Vec<IpAddr>, NetError>) -> Duration {
    if first.as_ref().is_ok_and(|found| !found.is_empty()) { OTHER_FAMILY } else { Duration::MAX }
}

/// Only an answer that the name has no address is held against the target. Silence and failure of the servers we ask
/// may be our own trouble, and cannot be told apart from that of the name's own servers.
fn explain(host: &str, family: Family, error: &NetError, watch: &Stopwatch) -> Fault {
    match error {
        error if error.is_nx_domain() => Fault::new("name", format!("There is no host named {host}")),
        error if error.is_no_records_found() => {
            let which = if family == Family::Any { String::new() } else { format!("{family} ") };
            Fault::new("name", format!("{host} has no {which}address"))
        }
        NetError::Dns(DnsError::ResponseCode(code)) => Fault::local(
            "resolver",
            format!(
                "The name server could not resolve {host} ({}): it or the name's own servers are in trouble",
                code_name(*code)
            ),
        ),
        NetError::Timeout => {
            let waited = fault::seconds(watch.elapsed());
            Fault::local("resolver", format!("No name server answered for {host} within {waited}"))
        }
        NetError::Io(io) => {
            let fault = fault::explain(io, &"the name server");
            let code = if fault.code == "descriptors" { "descriptors" } else { "resolver" };
            Fault::local(code, format!("{host} could not be resolved: {}", fault.text))
        }
        error => Fault::local("resolver", format!("{host} could not be resolved: {error}")),
    }
    .because(error)
}

fn code_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::Refused => "REFUSED".into(),
        other => other.to_str().to_owned(),
    }
}

fn stamps() -> [Stamp; 2] {
    [HOSTS_FILE, RESOLV_FILE].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn load(nameservers: &[SocketAddr], stamps: [Stamp; 2]) -> Loaded {
    let hosts = parse_hosts(&fs::read_to_string(HOSTS_FILE).unwrap_or_default());
    Loaded { hosts: Arc::new(hosts), dns: dns(nameservers), stamps, looked: Stopwatch::start() }
}

fn dns(nameservers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let (config, mut options) = if nameservers.is_empty() {
        read_system_conf().map_err(|error| format!("{RESOLV_FILE}: {error}"))?
    } else {
        let servers = nameservers.iter().map(|server| {
            let mut asked = NameServerConfig::udp_and_tcp(server.ip());
            asked.connections.iter_mut().for_each(|connection| connection.port = server.port());
            asked
        });
        (ResolverConfig::from_parts(None, Vec::new(), servers.collect()), ResolverOpts::default())
    };
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = options.timeout.min(ROUND);
    options.case_randomization = false;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|error| error.to_string())
}

/// Lines of an address and its names; `#` begins a comment. A line that reads otherwise is passed over, as libc does.
fn parse_hosts(text: &str) -> Hosts {
    let mut hosts = Hosts::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        for name in words {
            let known = hosts.entry(name.to_ascii_lowercase()).or_default();
            if !known.contains(&address) {
                known.push(address);
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_reads_as_libc_reads_it() {
        let hosts = parse_hosts(
            "127.0.0.1 localhost\n10.0.0.7\tPACS pacs.lan # archive\n# 10.0.0.8 gone\nfd00::7 pacs\nrubbish here\n10.0.0.7 pacs\n",
        );
        assert_eq!(hosts["pacs"], ["10.0.0.7".parse::<IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
        assert_eq!(hosts["pacs.lan"], ["10.0.0.7".parse::<IpAddr>().unwrap()]);
        assert!(!hosts.contains_key("gone") && !hosts.contains_key("here"));
    }
}
