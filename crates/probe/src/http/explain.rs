//! What a broken exchange means, in words for people.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use watchbell_core::finding::clean;
use watchbell_core::{Outcome, Reason};
use watchbell_net::fault;

use super::wire::{Broken, LARGEST_HEAD, MOST_PROVISIONAL};

/// How much of something that is not HTTP a reason repeats.
const LONGEST_GREETING: usize = 60;

/// The deadline came while we were `doing` something.
pub(crate) fn timed_out(waited: Duration, doing: impl fmt::Display) -> Outcome {
    Outcome::Fail(Reason::new("timeout", format!("Timed out after {} {doing}", fault::seconds(waited))))
}

/// No head came. `leftover` is what came instead.
pub(crate) fn no_head(broken: &Broken, leftover: &[u8], peer: &dyn fmt::Display) -> Outcome {
    let error = match broken {
        Broken::Hyper(error) => error,
        Broken::Provisional => {
            return fail("protocol", format!("More than {MOST_PROVISIONAL} provisional answers (1xx) and no real one"));
        }
    };
    if error.is_parse_too_large() {
        let kilobytes = LARGEST_HEAD / 1024;
        return fail(
            "too_large",
            format!("Headers of the answer are larger than {kilobytes} kB or more than 100 lines"),
        );
    }
    if error.is_parse() {
        return not_http(error, leftover);
    }
    if let Some(outcome) = by_io(error, peer, "before the answer was complete") {
        return outcome;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return fail(
            "reset",
            match leftover {
                [] => format!("Connection closed by {peer} before the first byte of an answer"),
                _ => format!("Connection closed by {peer} in the middle of the headers"),
            },
        );
    }
    by_cause(error)
}

/// The head came, the body broke off.
pub(crate) fn no_body(error: &hyper::Error, peer: &dyn fmt::Display, progress: &str) -> Outcome {
    if let Some(outcome) = by_io(error, peer, progress) {
        return outcome;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return fail("reset", format!("Connection closed by {peer} {progress}"));
    }
    by_cause(error)
}

fn by_io(error: &hyper::Error, peer: &dyn fmt::Display, progress: &str) -> Option<Outcome> {
    let io = cause::<io::Error>(error)?;
    Some(match io.kind() {
        io::ErrorKind::UnexpectedEof => fail("reset", format!("Connection closed by {peer} {progress}")),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            fail("reset", format!("Connection reset by {peer} {progress}"))
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if io.raw_os_error().is_none() && !is_tls(io) => {
            fail("protocol", format!("Answer breaks the rules of HTTP: {io}"))
        }
        _ => {
            let fault = fault::explain(io, peer);
            let reason = Reason::new(fault.code, fault.text);
            if fault.local { Outcome::Local(reason) } else { Outcome::Fail(reason) }
        }
    })
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// What remains are the rules of HTTP, mostly those of HTTP/2; the innermost cause says which.
fn by_cause(error: &hyper::Error) -> Outcome {
    let lines = fault::chain(error);
    let protocol = if lines.iter().any(|line| line.contains("http2")) { "HTTP/2" } else { "HTTP" };
    fail("protocol", format!("{protocol} failed: {}", lines.last().map_or("", String::as_str)))
}

fn not_http(error: &hyper::Error, leftover: &[u8]) -> Outcome {
    // RFC 8446, section 5.1: an alert or a handshake record, of any version.
    if matches!(leftover, [0x15 | 0x16, 0x03, ..]) {
        return fail("protocol", "Server speaks TLS on this port; use https".to_owned());
    }
    let lines = fault::chain(error);
    let innermost = lines.last().map_or("", String::as_str);
    // The first thing in an answer is its version; whoever fails there does not speak HTTP at all.
    if leftover.is_empty() || !innermost.contains("version") {
        return fail("protocol", format!("Answer breaks the rules of HTTP: {innermost}"));
    }
    let greeting = String::from_utf8_lossy(&leftover[..leftover.len().min(4 * LONGEST_GREETING)]);
    let line = greeting.lines().next().unwrap_or_default();
    fail("protocol", format!("Answer is not HTTP, it begins with `{}`", clean(line, LONGEST_GREETING)))
}

fn fail(code: &'static str, text: String) -> Outcome {
    Outcome::Fail(Reason::new(code, text))
}

fn cause<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
