//! What channels and `deliver` say to each other: the call to make, the answer it got, and what that means.
//! All of it is plain values; whatever may hold a secret is a [`Secret`], so that nothing here prints one.

use std::time::Duration;

use serde_json::Value;
use url::Url;
use watchbell_core::Secret;
use watchbell_core::finding::clean;

use crate::email::Mail;
use crate::tls::Tls;

/// A delivery, ready to be made.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Http(Request),
    Mail(Box<Mail>),
}

/// One HTTP request. It is made as it stands, never redirected, and answered within the delivery's deadline.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: &'static str,
    /// May hold a token, so it is never shown.
    pub url: Secret,
    /// Names and values; `Host` and `Content-Length` are added when it is sent, and refused here.
    pub headers: Vec<(String, Secret)>,
    pub body: String,
    /// Who is called, for people: "Telegram", "https://hooks.example.org".
    pub to: String,
    pub tls: Tls,
    /// A proxy to go through; may hold a password.
    pub proxy: Option<Secret>,
    /// Texts that must not come back in an answer we keep, beside the URL and the headers' values.
    pub secrets: Vec<Secret>,
}

/// An HTTP answer, the secrets of its request taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who answered, for people.
    pub to: String,
    pub status: u16,
    /// How long we were asked to wait, by `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Where a redirect points: its origin only.
    pub location: Option<String>,
    /// The first 64 kB, as text.
    pub body: String,
}

/// Why a message was not delivered, and whether trying again can help. Out of [`crate::Sender::send`], `why` is a
/// sentence of at most [`LONGEST_TEXT`] characters without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Worth another try: a timeout, an overload, a limit. `after` is what the service asked for.
    Later { after: Option<Duration>, why: String },
    /// The same call will always be refused: a wrong token, a chat that is gone. People have to act.
    Never { why: String },
}

/// What a service said when it took a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The HTTP status; `None` for mail.
    pub status: Option<u16>,
    /// The service's own name for the message: Telegram's message id, Slack's `ts`, a mail's Message-ID.
    pub provider_ref: Option<String>,
    /// The beginning of the answer, at most [`LONGEST_TEXT`] characters, without secrets.
    pub answer: String,
}

/// An address that notices may be sent to: `http` or `https`, with a host, without credentials.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    const LONGEST_URL: usize = 2000;
    let url = Url::parse(text)
        .map_err(|error| format!("This is no URL ({error}); write it like https://example.org/hook"))?;
    if text.len() > LONGEST_URL || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        Err(format!("A URL holds no spaces or line breaks and at most {LONGEST_URL} characters"))
    } else if !matches!(url.scheme(), "http" | "https") {
        Err(format!("Notices are sent by http or https, not by {}", url.scheme()))
    } else if !url.has_host() {
        Err("The URL names no host; write it like https://example.org/hook".into())
    } else if !url.username().is_empty() || url.password().is_some() {
        Err("The URL would show its credentials; send them in a header instead, such as Authorization".into())
    } else {
        Ok(url)
    }
}

/// Refusals and answers are kept and shown; longer ones are cut.
pub const LONGEST_TEXT: usize = 300;

/// So much of an answer is quoted in a refusal.
const LONGEST_QUOTE: usize = 160;

impl Refusal {
    pub fn later(why: impl Into<String>) -> Self {
        Self::Later { after: None, why: why.into() }
    }

    pub fn never(why: impl Into<String>) -> Self {
        Self::Never { why: why.into() }
    }

    /// What went wrong, as a sentence for the person who can act.
    pub fn why(&self) -> &str {
        match self {
            Self::Later { why, .. } | Self::Never { why } => why,
        }
    }
}

impl Answer {
    /// What an HTTP status means: 2xx is accepted; 408, 425, 429 and 5xx ask for another try;
    /// everything else will not change by asking again.
    pub fn by_status(&self) -> Result<(), Refusal> {
        match self.status {
            200..=299 => Ok(()),
            300..=399 => Err(Refusal::never(self.redirected())),
            408 | 425 | 429 | 500..=599 => Err(self.later(self.answered())),
            _ => Err(Refusal::never(self.answered())),
        }
    }

    /// The body as JSON, if it is some.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// "hooks.example.org answered 503 Service Unavailable: try later".
    pub fn answered(&self) -> String {
        let status = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let status = status.map_or_else(|| self.status.to_string(), |reason| format!("{} {reason}", self.status));
        match clean(self.body.trim(), LONGEST_QUOTE) {
            quote if quote.is_empty() => format!("{} answered {status}", self.to),
            quote => format!("{} answered {status}: {quote}", self.to),
        }
    }

    /// Another try, after what `Retry-After` asks for.
    pub fn later(&self, why: impl Into<String>) -> Refusal {
        Refusal::Later { after: self.retry_after, why: why.into() }
    }

    fn redirected(&self) -> String {
        let (to, status) = (&self.to, self.status);
        match &self.location {
            Some(location) => format!(
                "{to} answered {status}, a redirect to {location}. Notices do not follow redirects; set the url to where it ends"
            ),
            None => format!(
                "{to} answered {status}, a redirect. Notices do not follow redirects; set the url to where it ends"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        let retry_after = Some(Duration::from_secs(7));
        Answer { to: "the hook".into(), status, retry_after, location: None, body: "as it is".into() }
    }

    #[test]
    fn statuses_mean_what_http_says() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(answer(status).by_status(), Ok(()), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let refusal = answer(status).by_status().unwrap_err();
            assert!(matches!(refusal, Refusal::Later { after: Some(_), .. }), "{status}: {refusal:?}");
        }
        for status in [301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422, 451] {
            let refusal = answer(status).by_status().unwrap_err();
            assert!(matches!(refusal, Refusal::Never { .. }), "{status}: {refusal:?}");
        }
    }

    #[test]
    fn a_refusal_is_one_bounded_sentence() {
        let noisy = Answer { body: format!("\r\n<h1>\u{7}{}", "x".repeat(70_000)), ..answer(503) };
        let why = noisy.by_status().unwrap_err().why().to_owned();
        assert!(why.starts_with("the hook answered 503 Service Unavailable: <h1> xxx"), "{why}");
        assert!(why.chars().count() <= LONGEST_TEXT);
        assert!(!why.contains(char::is_control));
    }
}
