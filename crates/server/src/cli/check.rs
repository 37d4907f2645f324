//! `watchbell check`: asks once, shows phases and evidence, and tells no one.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use watchbell_core::kind::Complaint;
use watchbell_core::{Finding, Outcome as Outcome_, Policy, Slug, Span};
use watchbell_net::{Net, NetSettings};
use watchbell_probe::{Ask, Probe, Reuse};

use super::paint::{Paint, table};
use super::{Outcome, Usage, say, usual_config};
use crate::clock::Clock;
use crate::config::spec::{ConfigFile, MonitorSpec};
use crate::config::{load_or_empty, nearest};

#[derive(Args)]
pub(super) struct CheckArgs {
    /// A monitor of the configuration, a URL (http, https, tcp, ping), HOST:PORT, or a host to ping
    target: String,
    /// Where monitors are looked up [default: watchbell.yaml here, if there is one]
    #[arg(long, env = "WATCHBELL_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    /// A check that takes longer has failed [default: the monitor's own, else 10s]
    #[arg(long, value_name = "TIME", value_parser = length)]
    timeout: Option<Duration>,
}

fn length(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0)
}

pub(super) async fn run(args: CheckArgs) -> anyhow::Result<Outcome> {
    let asked = Asked::find(&args)?;
    let net = Net::new(NetSettings { egress: asked.file.egress.clone(), nameservers: Vec::new() })?;
    let reuse = Reuse::default();
    let ask = Ask {
        net: &net,
        deadline: Clock::deadline(asked.timeout),
        now: Clock::start().now(),
        reuse: &reuse,
        monitor: 0,
    };
    let finding = asked.probe.ask(&ask).await;
    let took_too_long = asked.slow_above.is_some_and(|limit| finding.outcome == Outcome_::Ok && finding.took > limit);
    say(&shown(&asked, &finding, took_too_long, Paint::of_stdout()))?;
    Ok(if finding.outcome == Outcome_::Ok { Outcome::Fine } else { Outcome::Bad })
}

/// What is to be asked, and how.
struct Asked {
    title: String,
    probe: Probe,
    timeout: Duration,
    slow_above: Option<Duration>,
    file: ConfigFile,
}

impl Asked {
    fn find(args: &CheckArgs) -> anyhow::Result<Self> {
        let target = args.target.trim();
        let bare = probe_of(target);
        // An address needs no configuration, and a broken one must not be in the way of it.
        if let Some(probe) = bare.as_ref().filter(|_| target.parse::<Slug>().is_err()) {
            return Self::address(target, probe.clone(), args.timeout);
        }
        let path = args.config.clone().or_else(usual_config);
        let file = load_or_empty(path.as_deref())?.file;
        if let Some(monitor) = file.monitors.get(target) {
            return Self::monitor(target, monitor.clone(), file, args.timeout);
        }
        match (bare, &path) {
            (Some(probe), None) => Self::address(target, probe, args.timeout),
            (_, Some(path)) => {
                let near = nearest(target, file.monitors.keys().map(Slug::as_str));
                let hint = near.map_or_else(
                    || format!("To ping the host of that name, write ping://{target}."),
                    |near| format!("Did you mean `{near}`?"),
                );
                Err(Usage(format!("There is no monitor `{target}` in {}. {hint}", path.display())).into())
            }
            (None, None) => Err(Usage(format!(
                "`{target}` cannot be asked; give a URL like https://example.org/, HOST:PORT, or a monitor's name with --config."
            ))
            .into()),
        }
    }

    fn monitor(slug: &str, monitor: MonitorSpec, file: ConfigFile, timeout: Option<Duration>) -> anyhow::Result<Self> {
        let policy = monitor.policy(&file.defaults, 1);
        let slow_above = monitor.slow_above(&file.defaults);
        let title = monitor.name.unwrap_or_else(|| slug.to_owned());
        let Some(probe) = monitor.probe else {
            return Err(Usage(format!("`{slug}` is a heartbeat: it calls in, and nothing can be asked.")).into());
        };
        Ok(Self { title, probe, timeout: timeout.unwrap_or(policy.timeout), slow_above, file })
    }

    fn address(target: &str, probe: Probe, timeout: Option<Duration>) -> anyhow::Result<Self> {
        if let Some(Complaint { sentence, .. }) = probe.validate().into_iter().next() {
            return Err(Usage(sentence).into());
        }
        Ok(Self {
            title: target.to_owned(),
            probe,
            timeout: timeout.unwrap_or(Policy::TIMEOUT),
            slow_above: None,
            file: ConfigFile::default(),
        })
    }
}

/// The probe that an address asks for; `None` if it is none.
fn probe_of(target: &str) -> Option<Probe> {
    let settings = match target.split_once("://") {
        Some(("http" | "https", _)) => json!({ "http": { "url": target } }),
        Some(("tcp", address)) => json!({ "tcp": { "address": address.trim_end_matches('/') } }),
        Some(("ping" | "icmp", host)) => json!({ "ping": { "host": host.trim_end_matches('/') } }),
        Some(_) => return None,
        None if target.contains('/') || target.contains(char::is_whitespace) || target.is_empty() => return None,
        None if is_with_port(target) => json!({ "tcp": { "address": target } }),
        None => json!({ "ping": { "host": target } }),
    };
    serde_json::from_value(settings).ok()
}

fn is_with_port(target: &str) -> bool {
    let Some((host, port)) = target.rsplit_once(':') else { return false };
    let is_ipv6 = host.contains(':') && !host.ends_with(']');
    !is_ipv6 && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn shown(asked: &Asked, finding: &Finding, slow: bool, paint: Paint) -> String {
    let took = span(finding.took);
    let verdict = match &finding.outcome {
        Outcome_::Ok if slow => format!("{}  in {took}, which is slow", paint.unsure("SLOW")),
        Outcome_::Ok => format!("{}  in {took}", paint.good("OK")),
        Outcome_::Fail(reason) => format!("{}  {} ({}, after {took})", paint.bad("FAILED"), reason.text, reason.code),
        Outcome_::Local(reason) => format!(
            "{}  {} ({}). That is our side's doing and would not be counted against the target.",
            paint.unsure("COULD NOT ASK"),
            reason.text,
            reason.code
        ),
    };
    let about = format!("{} {}", asked.probe.kind(), asked.probe.target());
    let mut out = format!("{}  {}\n{verdict}\n", paint.strong(&asked.title), paint.faint(&about));
    let mut section = |name: &str, body: String| {
        if !body.is_empty() {
            out.push_str(&format!("\n{}\n{body}", paint.strong(name)));
        }
    };
    let phases = finding.phases.each().map(|(name, micros)| (name, span(Duration::from_micros(micros.into()))));
    section("Phases", table(paint, phases));
    let evidence = &finding.evidence;
    let mut rows: Vec<(&str, String)> =
        evidence.rows.iter().map(|row| (row.name.as_ref(), row.value.clone())).collect();
    if let Some(end) = finding.expires_at
        && !rows.iter().any(|(name, _)| name.to_lowercase().contains("valid") || name.to_lowercase().contains("expir"))
    {
        rows.push(("Certificate until", end.to_string()));
    }
    section("Seen", table(paint, rows));
    section("Headers", table(paint, evidence.headers.iter().map(|row| (row.name.as_ref(), row.value.clone()))));
    section("Errors", evidence.errors.iter().map(|error| format!("  {error}\n")).collect());
    let body = evidence.body.as_deref().unwrap_or_default();
    section("Answer", body.lines().map(|line| format!("  {line}\n")).collect());
    out
}

/// Short enough to compare at a glance.
fn span(length: Duration) -> String {
    let millis = length.as_secs_f64() * 1000.0;
    match millis {
        _ if millis < 10.0 => format!("{millis:.2} ms"),
        _ if millis < 1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use watchbell_core::{Phases, Reason, Timestamp};

    use super::*;

    #[test]
    fn an_address_says_by_itself_how_it_is_asked() {
        for (target, kind) in [
            ("https://example.org/health", "http"),
            ("http://127.0.0.1:8080", "http"),
            ("example.org:443", "tcp"),
            ("127.0.0.1:22", "tcp"),
            ("[::1]:22", "tcp"),
            ("tcp://example.org:22", "tcp"),
            ("example.org", "ping"),
            ("192.0.2.7", "ping"),
            ("::1", "ping"),
            ("ping://router", "ping"),
            ("router", "ping"),
        ] {
            assert_eq!(probe_of(target).map(|probe| probe.kind()), Some(kind), "{target}");
        }
        for target in ["", "a b", "ftp://example.org/", "example.org/health"] {
            assert_eq!(probe_of(target), None, "{target}");
        }
    }

    fn args(target: &str, config: Option<PathBuf>) -> CheckArgs {
        CheckArgs { target: target.into(), config, timeout: None }
    }

    #[test]
    fn monitors_are_looked_up_and_missing_ones_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.yaml");
        let text = "defaults: {timeout: 3s}\nmonitors:\n  shop: {name: Shop front, probe: {tcp: {address: '127.0.0.1:1'}}}\n  beat: {heartbeat: {interval: 1m}}\n";
        std::fs::write(&path, text).unwrap();
        let found = Asked::find(&args("shop", Some(path.clone()))).unwrap();
        assert_eq!((found.title.as_str(), found.timeout), ("Shop front", Duration::from_secs(3)));
        let said = |target: &str| Asked::find(&args(target, Some(path.clone()))).err().unwrap().to_string();
        assert!(said("shpo").ends_with("w.yaml. Did you mean `shop`?"), "{}", said("shpo"));
        assert!(said("router").ends_with("To ping the host of that name, write ping://router."));
        assert_eq!(said("beat"), "`beat` is a heartbeat: it calls in, and nothing can be asked.");
        std::fs::write(&path, "monitors: [").unwrap();
        assert!(Asked::find(&args("127.0.0.1:1", Some(path.clone()))).is_ok(), "an address needs no configuration");
        assert!(said("shop").contains("This is not YAML"));
    }

    #[test]
    fn what_was_seen_is_a_tidy_table() {
        let asked = Asked::address("127.0.0.1:4242", probe_of("127.0.0.1:4242").unwrap(), None).unwrap();
        let mut finding =
            Finding::fail(Reason::new("refused", "127.0.0.1:4242 refused the connection"), Duration::from_micros(1530));
        finding.phases = Phases { connect_us: Some(1500), ..Phases::default() };
        finding.evidence.row("Address", "127.0.0.1:4242");
        finding.evidence.errors.push("Connection refused (os error 111)".into());
        finding.expires_at = Some(Timestamp::EPOCH);
        assert_eq!(
            shown(&asked, &finding, false, Paint::plain()),
            "127.0.0.1:4242  tcp 127.0.0.1:4242\n\
             FAILED  127.0.0.1:4242 refused the connection (refused, after 1.53 ms)\n\
             \nPhases\n  Connect  1.50 ms\n\
             \nSeen\n  Address            127.0.0.1:4242\n  Certificate until  1970-01-01T00:00:00.000Z\n\
             \nErrors\n  Connection refused (os error 111)\n"
        );
    }

    #[tokio::test]
    async fn a_closed_port_fails_and_an_open_one_does_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(run(args(&address, None)).await.unwrap(), Outcome::Fine);
        drop(listener);
        assert_eq!(run(args(&address, None)).await.unwrap(), Outcome::Bad);
    }
}
