//! Opens a TCP connection; if asked, speaks TLS, sends a text and looks at the answer.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use watchbell_core::kind::{Complaint, Kind};
use watchbell_core::{Finding, Outcome, Reason, address};
use watchbell_net::bounded::{self, Cut, End};
use watchbell_net::stopwatch::Stopwatch;
use watchbell_net::{Dialed, Family, Purpose, Target, TlsWish, Verify, fault};

use crate::{Ask, ProbeKind};

/// Longer texts are not a greeting.
const LONGEST_SENT: usize = 64 * 1024;

/// A compiled expression may take this much memory; ten thousand monitors share one machine.
const LARGEST_EXPRESSION: usize = 256 * 1024;

/// How much of the answer is kept as evidence.
const LONGEST_SHOWN: usize = 2000;

const DEFAULT_MAX_BYTES: u32 = 64 * 1024;
const MAX_BYTES: std::ops::RangeInclusive<u32> = 1..=1024 * 1024;

/// Opens a TCP connection: the port answers, or it does not. If asked, it also checks the certificate, sends a text,
/// and looks for something in the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "TCP port")]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// Host and port, such as `orthanc.example.org:4242`, `127.0.0.1:22` or `[2001:db8::7]:443`.
    #[schemars(extend("x-group" = "Essentials", "examples" = ["127.0.0.1:4242"]))]
    pub address: String,
    /// Text to send once the connection stands. `\r`, `\n`, `\t`, `\0`, `\\` and `\x1f` stand for those bytes.
    /// Without it, nothing is sent. At most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Request", "examples" = ["PING\\r\\n"]))]
    pub send: Option<String>,
    /// What the answer must contain, with the same `\` forms as `send`. Without `expect` and `expect_regex`, the answer
    /// is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as good", "examples" = ["+PONG"]))]
    pub expect: Option<String>,
    /// Regular expression that the answer must match, such as `^SSH-2\.0-`. `^` and `$` stand for the beginning and
    /// the end of what has been read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as good", "examples" = ["^SSH-2\\.0-"]))]
    pub expect_regex: Option<String>,
    /// How many bytes of the answer are looked at: 1 to 1048576. Default: 65536.
    #[serde(default = "default_max_bytes", skip_serializing_if = "is_default_max_bytes")]
    #[schemars(range(min = 1, max = 1_048_576), extend("x-group" = "What counts as good", "default" = 65536))]
    pub max_bytes: u32,
    /// Whether to speak TLS, and what a bad certificate means. Default: `off`.
    #[serde(default, skip_serializing_if = "is_off")]
    #[schemars(extend("x-group" = "TLS and certificate", "default" = "off"))]
    pub tls: Encryption,
    /// Name to ask for and to find in the certificate, if it is not the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "TLS and certificate"))]
    pub server_name: Option<String>,
    /// Certificates of authorities to trust besides those of this machine, in PEM form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "TLS and certificate", "x-multiline" = true))]
    pub ca: Option<String>,
    /// Address family to use. Default: `any`.
    #[serde(default, skip_serializing_if = "is_any")]
    #[schemars(extend("x-group" = "Network", "default" = "any"))]
    pub family: Family,
}

/// Whether TLS is spoken. `true` means `strict`, `false` means `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    #[default]
    Off,
    Strict,
    Fallback,
    Unverified,
}

impl Kind for Tcp {
    fn example() -> Self {
        Self {
            address: "127.0.0.1:4242".to_owned(),
            send: None,
            expect: None,
            expect_regex: None,
            max_bytes: DEFAULT_MAX_BYTES,
            tls: Encryption::Off,
            server_name: None,
            ca: None,
            family: Family::Any,
        }
    }

    fn validate(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut check = |field: &str, outcome: Result<(), String>| {
            complaints.extend(outcome.err().map(|sentence| Complaint::new(field, sentence)));
        };
        check("address", host_and_port(&self.address).map(drop));
        check("send", self.sent().map(drop));
        check("expect", self.expected().map(drop));
        check("expect_regex", self.expression().map(drop));
        if !MAX_BYTES.contains(&self.max_bytes) {
            check("max_bytes", Err(format!("{} bytes cannot be looked at; write 1 to 1048576", self.max_bytes)));
        }
        if let Some(wish) = self.wish() {
            let field = if self.ca.is_some() { "ca" } else { "server_name" };
            check(field, wish.check());
        } else {
            for (field, is_set) in [("server_name", self.server_name.is_some()), ("ca", self.ca.is_some())] {
                if is_set {
                    check(
                        field,
                        Err("This has no effect while `tls` is off; write `tls: strict` beside it".to_owned()),
                    );
                }
            }
        }
        complaints
    }
}

impl ProbeKind for Tcp {
    async fn ask(&self, ctx: &Ask<'_>) -> Finding {
        let watch = Stopwatch::start();
        let plan = match self.plan() {
            Ok(plan) => plan,
            // Such settings are refused when they are saved; a newer version may refuse what an older one kept.
            Err(why) => return Finding::local(Reason::new("settings", why), watch.elapsed()),
        };
        let target = Target {
            purpose: Purpose::Probe,
            host: plan.host,
            port: plan.port,
            family: self.family,
            tls: plan.tls.as_ref(),
            proxy: None,
        };
        match ctx.net.dial(&target, ctx.deadline).await {
            Ok(dialed) => self.look(dialed, &plan, ctx, watch).await,
            Err(error) => error.into_finding(watch.elapsed()),
        }
    }

    fn target(&self) -> String {
        self.address.clone()
    }
}

/// The settings, read.
struct Plan<'a> {
    host: &'a str,
    port: u16,
    send: Vec<u8>,
    expect: Option<Vec<u8>>,
    expression: Option<Regex>,
    tls: Option<TlsWish>,
}

impl Tcp {
    fn plan(&self) -> Result<Plan<'_>, String> {
        let (host, port) = host_and_port(&self.address)?;
        let (send, expect, expression) = (self.sent()?, self.expected()?, self.expression()?);
        Ok(Plan { host, port, send, expect, expression, tls: self.wish() })
    }

    /// Sends and reads what the settings say over a connection that stands.
    async fn look(&self, dialed: Dialed, plan: &Plan<'_>, ctx: &Ask<'_>, watch: Stopwatch) -> Finding {
        let Dialed { mut stream, mut phases, address, tls } = dialed;
        let mut lap = Stopwatch::start();
        let mut answer = Vec::new();
        let outcome = async {
            if !plan.send.is_empty() {
                bounded::write_all(&mut stream, &plan.send, ctx.deadline).await?;
            }
            if plan.expect.is_none() && plan.expression.is_none() {
                return Ok(None);
            }
            let limit = self.max_bytes as usize;
            let first =
                bounded::read_until(&mut stream, &mut answer, limit, ctx.deadline, |seen| !seen.is_empty()).await;
            phases.wait_us = Some(lap.lap());
            first?;
            let end =
                bounded::read_until(&mut stream, &mut answer, limit, ctx.deadline, |seen| plan.is_met(seen)).await;
            phases.transfer_us = Some(lap.lap());
            end.map(Some)
        }
        .await;
        let took = watch.elapsed();

        let missing = plan.missing(&answer);
        let mut finding = match outcome {
            Ok(None | Some(End::Enough)) => Finding::ok(took),
            Ok(Some(End::Closed)) if answer.is_empty() => {
                Finding::fail(Reason::new("body", format!("{address} closed the connection without an answer")), took)
            }
            Ok(Some(End::Closed)) => Finding::fail(Reason::new("body", format!("The answer {missing}")), took),
            Ok(Some(End::Full)) => Finding::fail(
                Reason::new("body", format!("The answer {missing} in its first {} bytes", answer.len())),
                took,
            ),
            Err(Cut::Deadline) if answer.is_empty() => {
                fault::timed_out(format_args!("no answer from {address}"), took).into_finding(took)
            }
            Err(Cut::Deadline) => {
                fault::timed_out(format_args!("the answer so far {missing}"), took).into_finding(took)
            }
            Err(Cut::Broken(error)) => fault::explain(&error, &address).into_finding(took),
        };
        finding.phases = phases;
        finding.expires_at = tls.as_ref().and_then(|tls| tls.expires_at);
        finding.evidence.row("Address", address.to_string());
        if let Some(tls) = &tls {
            tls.describe(&mut finding.evidence);
        }
        if !answer.is_empty() {
            finding.evidence.row("Received", format!("{} bytes", answer.len()));
            if !matches!(finding.outcome, Outcome::Local(_)) {
                finding.evidence.body = Some(shown(&answer));
            }
        }
        finding
    }

    fn wish(&self) -> Option<TlsWish> {
        let verify = match self.tls {
            Encryption::Off => return None,
            Encryption::Strict => Verify::Strict,
            Encryption::Fallback => Verify::Fallback,
            Encryption::Unverified => Verify::Off,
        };
        Some(TlsWish { verify, server_name: self.server_name.clone(), ca_pem: self.ca.clone(), ..TlsWish::default() })
    }

    fn sent(&self) -> Result<Vec<u8>, String> {
        let sent = self.send.as_deref().map_or(Ok(Vec::new()), bytes)?;
        if sent.len() > LONGEST_SENT {
            Err(format!("{} bytes are too many to send; at most {LONGEST_SENT}", sent.len()))
        } else {
            Ok(sent)
        }
    }

    fn expected(&self) -> Result<Option<Vec<u8>>, String> {
        match self.expect.as_deref().map(bytes).transpose()? {
            Some(expected) if expected.is_empty() => {
                Err("An empty text is in every answer; write what to look for, or leave it out".into())
            }
            expected => Ok(expected),
        }
    }

    fn expression(&self) -> Result<Option<Regex>, String> {
        let Some(pattern) = &self.expect_regex else { return Ok(None) };
        match RegexBuilder::new(pattern).size_limit(LARGEST_EXPRESSION).build() {
            Ok(expression) => Ok(Some(expression)),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err("This expression is too large to be tried at each check".into())
            }
            Err(error) => {
                let text = error.to_string();
                Err(format!("This is not a regular expression: {}", text.lines().last().unwrap_or(&text).trim()))
            }
        }
    }
}

impl Plan<'_> {
    fn is_met(&self, answer: &[u8]) -> bool {
        self.expect.as_ref().is_none_or(|expected| contains(answer, expected))
            && self.expression.as_ref().is_none_or(|expression| expression.is_match(answer))
    }

    /// What is not in the answer, as the end of a sentence.
    fn missing(&self, answer: &[u8]) -> String {
        match (&self.expect, &self.expression) {
            (Some(expected), _) if !contains(answer, expected) => {
                format!("does not contain “{}”", cut(shown(expected)))
            }
            (_, Some(expression)) => format!("does not match “{}”", cut(expression.as_str().to_owned())),
            _ => "is not what was expected".to_owned(),
        }
    }
}

/// `host:port`, IPv6 in brackets.
fn host_and_port(text: &str) -> Result<(&str, u16), String> {
    const FORM: &str = "write it like orthanc.example.org:4242, 127.0.0.1:4242 or [2001:db8::7]:4242";
    if text.contains("://") {
        return Err(format!("`{text}` is a URL; leave out what is before the host and behind the port, and {FORM}"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("`{text}` has no port; {FORM}"));
    };
    if text.ends_with(']') {
        return Err(format!("`{text}` has no port; {FORM}"));
    }
    if host.contains(':') && address::literal(host).is_none_or(|_| !host.starts_with('[')) {
        return Err(format!("`{text}` cannot be told apart into host and port; {FORM}"));
    }
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#\\".contains(c)) {
        return Err(format!("`{text}` has no usable host; {FORM}"));
    }
    match port.parse::<u16>() {
        Ok(number @ 1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok((host, number)),
        _ => Err(format!("`{port}` is not a port; write a number from 1 to 65535")),
    }
}

/// The bytes that a text with `\` forms stands for.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let form = &rest[at + 1..];
        let (byte, length) = match form.as_bytes() {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', high, low, ..] => {
                let digits = [*high, *low];
                let number = std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                (
                    number.ok_or_else(|| {
                        format!(
                            "`\\x` is followed by two hexadecimal digits, as in `\\x1f`, in `{}`",
                            cut(text.to_owned())
                        )
                    })?,
                    3,
                )
            }
            _ => {
                let wrong: String = form.chars().take(1).collect();
                return Err(format!(
                    "`\\{wrong}` stands for nothing; use \\r, \\n, \\t, \\0, \\x1f, or \\\\ for a backslash"
                ));
            }
        };
        out.push(byte);
        rest = &form[length..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

fn contains(answer: &[u8], expected: &[u8]) -> bool {
    answer.windows(expected.len()).any(|part| part == expected)
}

/// Bytes for people: text as it is, what is no text as `\xNN`.
fn shown(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(LONGEST_SHOWN)];
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => out.push(c),
                '\r' => {}
                c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

fn cut(text: String) -> String {
    const LONGEST_QUOTE: usize = 80;
    if text.chars().nth(LONGEST_QUOTE).is_some() {
        text.chars().take(LONGEST_QUOTE).chain(['…']).collect()
    } else {
        text
    }
}

impl<'de> Deserialize<'de> for Encryption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const WORDS: &[&str] = &["off", "strict", "fallback", "unverified"];
        struct Words;
        impl de::Visitor<'_> for Words {
            type Value = Encryption;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("off, strict, fallback or unverified")
            }
            fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<Encryption, E> {
                Ok(if is_on { Encryption::Strict } else { Encryption::Off })
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Encryption, E> {
                match word {
                    "off" | "false" => Ok(Encryption::Off),
                    "strict" | "true" => Ok(Encryption::Strict),
                    "fallback" => Ok(Encryption::Fallback),
                    "unverified" => Ok(Encryption::Unverified),
                    other => Err(E::unknown_variant(other, WORDS)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl JsonSchema for Encryption {
    fn schema_name() -> Cow<'static, str> {
        "Encryption".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "oneOf": [
                { "const": "off", "description": "TLS is not spoken." },
                { "const": "strict", "description": "A bad certificate fails the check." },
                { "const": "fallback", "description": "A bad certificate is noted in the evidence, and the check goes on." },
                { "const": "unverified", "description": "Nobody looks at the certificate, except for its dates." },
            ],
        })
    }
}

const fn default_max_bytes() -> u32 {
    DEFAULT_MAX_BYTES
}

fn is_default_max_bytes(value: &u32) -> bool {
    *value == DEFAULT_MAX_BYTES
}

fn is_off(tls: &Encryption) -> bool {
    *tls == Encryption::Off
}

fn is_any(family: &Family) -> bool {
    *family == Family::Any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(json: &str) -> Tcp {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("127.0.0.1:4242", "127.0.0.1", 4242),
            ("orthanc.example.org:80", "orthanc.example.org", 80),
            ("[2001:db8::7]:22", "[2001:db8::7]", 22),
            ("localhost:65535", "localhost", 65535),
        ] {
            assert_eq!(host_and_port(text), Ok((host, port)));
        }
        for (text, complaint) in [
            ("127.0.0.1", "has no port"),
            ("[::1]", "has no port"),
            ("::1:22", "cannot be told apart"),
            ("host:0", "`0` is not a port"),
            ("host:65536", "is not a port"),
            ("host:+80", "is not a port"),
            ("host:", "is not a port"),
            (":80", "has no usable host"),
            ("a b:80", "has no usable host"),
            ("tcp://host:80", "is a URL"),
            ("host/path:80", "has no usable host"),
            ("", "has no port"),
        ] {
            let sentence = host_and_port(text).unwrap_err();
            assert!(sentence.contains(complaint), "{text}: {sentence}");
        }
    }

    #[test]
    fn what_is_sent_may_hold_any_byte() {
        assert_eq!(bytes(r"PING\r\n\x00\xfF\\\t\0é").unwrap(), b"PING\r\n\x00\xff\\\t\0\xc3\xa9");
        for text in [r"\", r"\q", r"\x1", r"\xg0", r"\x1é", r"\é"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_in_sentences() {
        let bad = tcp(r#"{"address":"x","send":"\\q","expect":"","expect_regex":"(","max_bytes":0,"server_name":"a"}"#);
        let fields: Vec<_> = bad.validate().into_iter().map(|complaint| complaint.field).collect();
        assert_eq!(fields, ["address", "send", "expect", "expect_regex", "max_bytes", "server_name"]);
        let bad = tcp(r#"{"address":"h:1","tls":"strict","ca":"x"}"#);
        assert_eq!(bad.validate()[0].field, "ca");
        assert_eq!(Tcp::example().validate(), []);
    }

    #[test]
    fn tls_is_a_word_or_yes_or_no() {
        assert_eq!(tcp(r#"{"address":"h:1","tls":true}"#).tls, Encryption::Strict);
        assert_eq!(tcp(r#"{"address":"h:1","tls":"unverified"}"#).tls, Encryption::Unverified);
        let error = serde_json::from_str::<Tcp>(r#"{"address":"h:1","tls":"yes"}"#).unwrap_err().to_string();
        assert!(error.contains("expected one of `off`, `strict`"), "{error}");
    }

    #[test]
    fn only_what_differs_from_the_default_is_written() {
        assert_eq!(serde_json::to_string(&Tcp::example()).unwrap(), r#"{"address":"127.0.0.1:4242"}"#);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_numbers() {
        assert_eq!(shown(b"ok\r\n\xff\x01"), "ok\n\\xff\\x01");
    }
}
