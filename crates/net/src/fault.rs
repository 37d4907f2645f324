//! What went wrong on the way to a target, and whose fault it is. Trouble of our own (descriptors, no network, no
//! resolver) is told apart here, once for everybody, because it must never count against a target.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use watchbell_core::{Finding, Outcome, Phases, Reason};

use crate::tls::TlsSeen;

/// A connection that could not be made.
#[derive(Debug)]
pub struct DialError {
    /// Codes: `name`, `refused`, `unreachable`, `timeout`, `reset`, `tls`, `tls_expired`, `tls_name`,
    /// `tls_untrusted`, `egress`, `proxy`; our own: `resolver`, `descriptors`, `network`.
    pub reason: Reason,
    /// Our side's fault (no descriptors, no route at all, no resolver): a gap, never the target's failure.
    pub local: bool,
    /// What happened until then.
    pub phases: Phases,
    /// The address last tried.
    pub address: Option<SocketAddr>,
    /// What the target presented, if the handshake came as far as that.
    pub tls: Option<TlsSeen>,
    /// The chain of errors, outermost first.
    pub chain: Vec<String>,
}

impl DialError {
    /// The finding this is, with all that was seen as evidence. `took` is the time since the asking began.
    pub fn into_finding(self, took: Duration) -> Finding {
        let outcome = if self.local { Outcome::Local(self.reason) } else { Outcome::Fail(self.reason) };
        let mut finding = Finding { outcome, phases: self.phases, ..Finding::ok(took) };
        if let Some(address) = self.address {
            finding.evidence.row("Address", address.to_string());
        }
        if let Some(tls) = &self.tls {
            tls.describe(&mut finding.evidence);
            finding.expires_at = tls.expires_at;
        }
        finding.evidence.errors = self.chain;
        finding
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason.text)
    }
}

impl Error for DialError {}

/// One step that failed, not yet a finding: it knows nothing of the steps before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: &'static str,
    /// A sentence or phrase without a full stop.
    pub text: String,
    /// Our side's fault, not the target's.
    pub local: bool,
    /// What it was caused by, outermost first.
    pub chain: Vec<String>,
}

impl Fault {
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), local: false, chain: Vec::new() }
    }

    pub fn local(code: &'static str, text: impl Into<String>) -> Self {
        Self { local: true, ..Self::new(code, text) }
    }

    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        self.chain.extend(chain(error));
        self
    }

    pub(crate) fn into_dial_error(self, phases: Phases, address: Option<SocketAddr>) -> Box<DialError> {
        let mut chain = vec![self.text.clone()];
        chain.extend(self.chain);
        let reason = Reason::new(self.code, self.text);
        Box::new(DialError { reason, local: self.local, phases, address, tls: None, chain })
    }

    /// The finding this is, for a probe whose connection stood already.
    pub fn into_finding(self, took: Duration) -> Finding {
        let reason = Reason::new(self.code, &self.text);
        let mut finding = if self.local { Finding::local(reason, took) } else { Finding::fail(reason, took) };
        finding.evidence.errors.push(self.text);
        finding.evidence.errors.extend(self.chain);
        finding
    }
}

/// Tells what an I/O error with `peer` means. `peer` reads as in "Connection refused by `peer`".
pub fn explain(error: &io::Error, peer: &dyn fmt::Display) -> Fault {
    use io::ErrorKind as Kind;
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return crate::tls::explain(tls, peer).because(error);
    }
    let (code, local, text): (_, _, Cow<'_, str>) = match error.kind() {
        _ if is_shortage(error) => (
            "descriptors",
            true,
            format!("This machine cannot open another connection: {error}. Raise its limits or ask less often").into(),
        ),
        Kind::ConnectionRefused => ("refused", false, format!("Connection refused by {peer}").into()),
        Kind::ConnectionReset | Kind::BrokenPipe => ("reset", false, format!("Connection reset by {peer}").into()),
        Kind::ConnectionAborted | Kind::UnexpectedEof | Kind::NotConnected => {
            ("reset", false, format!("Connection closed by {peer} before the answer was complete").into())
        }
        Kind::HostUnreachable => ("unreachable", false, format!("Host unreachable: {peer}").into()),
        Kind::TimedOut => ("timeout", false, format!("Timed out: no answer from {peer}").into()),
        Kind::NetworkUnreachable => ("network", true, format!("This machine has no route to {peer}").into()),
        Kind::AddrNotAvailable => ("network", true, format!("This machine has no address to reach {peer} from").into()),
        Kind::PermissionDenied => (
            "network",
            true,
            format!("This machine does not let Watchbell connect to {peer} (firewall or sandbox)").into(),
        ),
        _ if error.raw_os_error() == Some(NO_SUCH_FAMILY) => {
            ("network", true, format!("This machine does not speak the address family of {peer}").into())
        }
        _ => ("network_error", false, format!("Connection to {peer} failed: {error}").into()),
    };
    Fault { local, ..Fault::new(code, text) }.because(error)
}

/// `EAFNOSUPPORT`: IPv6 is switched off in the kernel.
const NO_SUCH_FAMILY: i32 = if cfg!(target_os = "linux") { 97 } else { 47 };

/// Whether the error means that we, not the target, ran out of something.
fn is_shortage(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    error.kind() == io::ErrorKind::OutOfMemory || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS))
}

/// The deadline came. `what` did not happen within `waited`.
pub fn timed_out(what: impl fmt::Display, waited: Duration) -> Fault {
    Fault::new("timeout", format!("Timed out after {}: {what}", seconds(waited)))
}

/// A length of time as reasons say it: `5 s`, `1.5 s`, `250 ms`. A deadline is always overrun by a little, and nobody
/// wants to read "10.003 s".
pub fn seconds(length: Duration) -> String {
    let millis = length.as_millis();
    if millis < 10 {
        return format!("{millis} ms");
    }
    let tens = (millis + 5) / 10;
    if tens < 100 {
        return format!("{} ms", tens * 10);
    }
    let tenths = (millis + 50) / 100;
    if tenths.is_multiple_of(10) { format!("{} s", tenths / 10) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}

/// An error and its causes, outermost first, without what a wrapper merely repeats.
pub fn chain(error: &dyn Error) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let line = watchbell_core::finding::clean(&error.to_string(), Reason::LONGEST);
        if lines.last() != Some(&line) {
            lines.push(line);
        }
        next = error.source();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_shortages_are_never_the_targets_fault() {
        for errno in [23, 24, if cfg!(target_os = "linux") { 105 } else { 55 }] {
            let fault = explain(&io::Error::from_raw_os_error(errno), &"192.0.2.1:80");
            assert_eq!((fault.code, fault.local), ("descriptors", true), "{}", fault.text);
        }
        for kind in
            [io::ErrorKind::NetworkUnreachable, io::ErrorKind::AddrNotAvailable, io::ErrorKind::PermissionDenied]
        {
            let fault = explain(&kind.into(), &"192.0.2.1:80");
            assert_eq!((fault.code, fault.local), ("network", true), "{}", fault.text);
        }
    }

    #[test]
    fn what_a_target_does_is_said_in_a_phrase() {
        for (kind, code, text) in [
            (io::ErrorKind::ConnectionRefused, "refused", "Connection refused by 127.0.0.1:4242"),
            (io::ErrorKind::ConnectionReset, "reset", "Connection reset by 127.0.0.1:4242"),
            (io::ErrorKind::HostUnreachable, "unreachable", "Host unreachable: 127.0.0.1:4242"),
        ] {
            let fault = explain(&kind.into(), &"127.0.0.1:4242");
            assert_eq!((fault.code, fault.local, fault.text.as_str()), (code, false, text));
        }
    }

    #[test]
    fn waiting_is_told_without_false_precision() {
        for (micros, text) in
            [(5_003_400, "5 s"), (1_460_000, "1.5 s"), (250_100, "250 ms"), (10_049_000, "10 s"), (400, "0 ms")]
        {
            assert_eq!(seconds(Duration::from_micros(micros)), text);
        }
    }
}
