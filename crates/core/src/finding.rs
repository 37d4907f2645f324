//! What one asking gave: the outcome, the time it took phase by phase, and the evidence.

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What asking a target once gave. Being refused, timing out and answering badly are findings, not errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub outcome: Outcome,
    /// From the first step to the verdict.
    pub took: Duration,
    pub phases: Phases,
    /// The earliest end of validity in the chain the target presented.
    pub expires_at: Option<Timestamp>,
    pub evidence: Evidence,
}

impl Finding {
    pub fn ok(took: Duration) -> Self {
        Self { outcome: Outcome::Ok, took, phases: Phases::default(), expires_at: None, evidence: Evidence::default() }
    }

    pub fn fail(reason: Reason, took: Duration) -> Self {
        Self { outcome: Outcome::Fail(reason), ..Self::ok(took) }
    }

    pub fn local(reason: Reason, took: Duration) -> Self {
        Self { outcome: Outcome::Local(reason), ..Self::ok(took) }
    }
}

/// Only [`Outcome::Fail`] is evidence against the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered as it should.
    Ok,
    /// It did not, and that is the target's doing as far as we can see.
    Fail(Reason),
    /// We could not ask: our resolver, our file descriptors, our network. A gap, never an accusation.
    Local(Reason),
}

/// Why, by name for machines and in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Stable name, e.g. `refused`, `timeout`, `status`, `tls`, `body`, `name`.
    pub code: Cow<'static, str>,
    /// One sentence or phrase, at most [`Reason::LONGEST`] characters, control characters removed.
    pub text: String,
}

impl Reason {
    /// Longer texts are cut: they come from targets and go to telephones.
    pub const LONGEST: usize = 300;

    pub fn new(code: &'static str, text: impl AsRef<str>) -> Self {
        Self { code: Cow::Borrowed(code), text: clean(text.as_ref(), Self::LONGEST) }
    }
}

/// Text from outside made fit to print: no control characters, at most `longest` characters.
pub fn clean(text: &str, longest: usize) -> String {
    let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect();
    if text.chars().nth(longest).is_some() {
        out.push('…');
    }
    out
}

/// Where the time went. A phase that did not happen is `None`; one that failed holds the time until it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phases {
    /// Resolving the name, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_us: Option<u32>,
    /// Connecting (TCP, and the proxy's part if there is one), in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_us: Option<u32>,
    /// The TLS handshake, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_us: Option<u32>,
    /// From the request sent to the first byte of the answer, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_us: Option<u32>,
    /// Reading the rest of the answer, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_us: Option<u32>,
}

impl Phases {
    /// The phases that happened, in order of time, with the word people see.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u32)> {
        [
            ("DNS", self.dns_us),
            ("Connect", self.connect_us),
            ("TLS", self.tls_us),
            ("Wait", self.wait_us),
            ("Transfer", self.transfer_us),
        ]
        .into_iter()
        .filter_map(|(name, micros)| micros.map(|micros| (name, micros)))
    }
}

/// What was seen, as rows a person compares: the last failure beside the last success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// E.g. `Status`: `502 Bad Gateway`. Names are stable, so that two pieces of evidence can be laid side by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
    /// Header lines of the answer, for probes that have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Row>,
    /// The first bytes of the answer as text; what is no text stands as `\xNN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The chain of errors, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// One named value seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    pub name: Cow<'static, str>,
    pub value: String,
}

impl Evidence {
    /// Values longer than this are cut.
    pub const LONGEST_VALUE: usize = 500;

    pub fn row(&mut self, name: impl Into<Cow<'static, str>>, value: impl AsRef<str>) {
        self.rows.push(Row { name: name.into(), value: clean(value.as_ref(), Self::LONGEST_VALUE) });
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
