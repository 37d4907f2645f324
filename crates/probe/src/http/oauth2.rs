//! Tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4): fetched from the provider, kept until they expire.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use serde::Deserialize;
use watchbell_core::{Outcome, Reason, Timestamp};
use watchbell_net::TlsWish;

use super::body::{End, Reader};
use super::evidence;
use super::exchange::{Check, Unanswered};
use super::place::{self, Place};
use super::plan::{Complaints, USER_AGENT, basic_value};
use super::settings::{HttpVersion, OAuth2};
use super::unpack::Packing;
use super::wire::Outgoing;

/// The answer with a token; longer tokens do not fit into a header anyway.
const LARGEST_ANSWER: u32 = 64 * 1024;

/// If the provider does not say how long a token lasts.
const USUAL_LIFE: Duration = Duration::from_secs(300);

/// However long the provider says it lasts: a withdrawn token is noticed within a day.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A token is renewed this long before its end, or a tenth of its life before, whichever is shorter.
const MARGIN: Duration = Duration::from_secs(30);

/// Where one monitor gets its tokens, and the one it has.
pub(crate) struct TokenSource {
    place: Place,
    headers: HeaderMap,
    body: Bytes,
    kept: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    value: HeaderValue,
    until: Timestamp,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    /// Seconds. Some providers send a text.
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

impl TokenSource {
    pub(crate) fn new(settings: &OAuth2, complaints: &mut Complaints) -> Option<Self> {
        let place = place::parse(&settings.token_url).and_then(|url| Place::from_url(&url));
        let place = complaints.take("auth.oauth2.token_url", place)?;
        if settings.client_id.is_empty() {
            complaints.add("auth.oauth2.client_id", "the provider knows clients by a name; write it here");
        }
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(header::HOST, place.authority.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let secret = settings.client_secret.expose();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !settings.scopes.is_empty() {
            form.append_pair("scope", &settings.scopes.join(" "));
        }
        if let Some(audience) = &settings.audience {
            form.append_pair("audience", audience);
        }
        if settings.in_body {
            form.append_pair("client_id", &settings.client_id).append_pair("client_secret", secret);
        } else {
            // RFC 6749, section 2.3.1: both parts are encoded as in a form before they become Basic.
            let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let mut value = basic_value(&encoded(&settings.client_id), &encoded(secret));
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Some(Self { place, headers, body: form.finish().into(), kept: Mutex::default() })
    }

    /// `Bearer …`, and whether it was kept from before.
    pub(crate) async fn token(&self, check: &mut Check<'_>) -> Result<(HeaderValue, bool), Outcome> {
        let now = check.ctx.now;
        let kept = self.kept().clone().filter(|token| now < token.until);
        if let Some(token) = kept {
            return Ok((token.value, true));
        }
        let before = std::mem::take(&mut check.seen);
        let token = self.fetch(check).await.map_err(|outcome| self.told(outcome))?;
        check.seen = before;
        let value = token.value.clone();
        *self.kept() = Some(token);
        Ok((value, false))
    }

    /// The kept token was refused.
    pub(crate) fn forget(&self) {
        *self.kept() = None;
    }

    async fn fetch(&self, check: &mut Check<'_>) -> Result<Token, Outcome> {
        let tls = TlsWish { server_name: None, client: None, alpn: vec!["http/1.1"], ..check.plan().tls().clone() };
        let wire = check.open(&self.place, &tls, HttpVersion::One).await?;
        let request = self.request();
        let sent = check.send(wire, request, &self.place).await;
        let mut answering = sent.map_err(|(Unanswered::Late(outcome) | Unanswered::Broken(outcome))| outcome)?;
        let mut reader = Reader::keep(Packing::Plain, LARGEST_ANSWER);
        let end = check.read(&mut answering, &mut reader, &self.place).await?;
        let body = reader.take();
        let head = check.head();
        if !head.status.is_success() {
            let refused =
                serde_json::from_slice::<Refused>(&body).ok().map(|refused| match refused.error_description {
                    Some(description) => format!(": {} ({description})", refused.error),
                    None => format!(": {}", refused.error),
                });
            return Err(fail(format!("{}{}", evidence::status_of(head), refused.unwrap_or_default())));
        }
        if end == End::Cut {
            return Err(fail(format!("the answer is larger than {} kB", LARGEST_ANSWER / 1024)));
        }
        let granted: Granted =
            serde_json::from_slice(&body).map_err(|error| fail(format!("the answer holds no token ({error})")))?;
        granted.into_token(check.ctx.now)
    }

    fn request(&self) -> Outgoing {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.place.path.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        request
    }

    /// A target was never asked, so what failed is the token.
    fn told(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Fail(reason) => {
                let host = self.place.authority.to_str().unwrap_or(&self.place.host);
                Outcome::Fail(Reason::new("oauth2", format!("No token from {host}: {}", reason.text)))
            }
            other => other,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Token>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Granted {
    fn into_token(self, now: Timestamp) -> Result<Token, Outcome> {
        if let Some(kind) = self.token_type.filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(fail(format!("the token is of the type `{kind}`, expected Bearer")));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.access_token))
            .map_err(|_| fail("the token has characters that no header can carry".to_owned()))?;
        value.set_sensitive(true);
        let seconds = match self.expires_in {
            Some(serde_json::Value::Number(number)) => number.as_f64(),
            Some(serde_json::Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let life = seconds
            .filter(|it| it.is_finite() && *it >= 0.0)
            .map_or(USUAL_LIFE, |it| Duration::from_secs_f64(it.min(1e9)));
        let life = life.min(LONGEST_LIFE);
        Ok(Token { value, until: now + (life - MARGIN.min(life / 10)) })
    }
}

fn fail(text: String) -> Outcome {
    Outcome::Fail(Reason::new("oauth2", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasts(json: serde_json::Value) -> i64 {
        let granted: Granted = serde_json::from_value(json).unwrap();
        granted.into_token(Timestamp::EPOCH).unwrap().until.as_secs()
    }

    #[test]
    fn a_token_lasts_as_long_as_the_provider_says_within_reason() {
        for (expires_in, seconds) in [
            (serde_json::json!(3600), 3570),
            (serde_json::json!("100"), 90),
            (serde_json::json!(null), 270),
            (serde_json::json!(-5), 270),
            (serde_json::json!(1e300), 86_370),
            (serde_json::json!(0), 0),
        ] {
            assert_eq!(
                lasts(serde_json::json!({ "access_token": "t", "expires_in": expires_in })),
                seconds,
                "{expires_in}"
            );
        }
    }
}
