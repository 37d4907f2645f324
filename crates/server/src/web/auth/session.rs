//! Sessions: a random number in a cookie, its digest in the store. Idle ones end after a week, all after a month.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use watchbell_core::Timestamp;
use watchbell_store::{Person, Session};

use super::Caller;
use crate::random;
use crate::web::Web;
use crate::web::error::Failure;

const IDLE: Duration = Duration::from_secs(7 * 86_400);
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// Using a session is written down at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(10 * 60);
/// A browser's name is shown to people; nobody needs all of it.
const LONGEST_AGENT: usize = 200;

/// Over TLS the browser itself keeps the cookie to this host, path and scheme.
const SECURE_NAME: &str = "__Host-watchbell";
const PLAIN_NAME: &str = "watchbell";

/// A person with the session they came with.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub person: Person,
    pub digest: Vec<u8>,
}

/// What is remembered beside the store: whom it knew lately, for the time it cannot be asked, and the bell that
/// rings when sessions end.
pub(crate) struct Sessions {
    recent: Mutex<HashMap<Vec<u8>, (Session, Person)>>,
    ended: watch::Sender<u64>,
}

/// So many sessions are recognised while the store is away.
const REMEMBERED: usize = 1000;

impl Default for Sessions {
    fn default() -> Self {
        Self { recent: Mutex::default(), ended: watch::channel(0).0 }
    }
}

impl Sessions {
    /// Rings whenever sessions have ended, for who serves one that is still open.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Forgets what it knows, so that ended sessions are refused at once.
    pub(crate) fn have_ended(&self) {
        self.recent.lock().clear();
        self.ended.send_modify(|count| *count += 1);
    }

    fn remember(&self, session: &Session, person: &Person) {
        let mut recent = self.recent.lock();
        if recent.len() >= REMEMBERED {
            recent.clear();
        }
        recent.insert(session.token_hash.clone(), (session.clone(), person.clone()));
    }

    fn recall(&self, digest: &[u8], now: Timestamp) -> Option<Person> {
        let recent = self.recent.lock();
        let (session, person) = recent.get(digest)?;
        (session.expires_at > now).then(|| person.clone())
    }
}

/// Begins a session. Returns the cookie's line.
pub(crate) async fn begin(web: &Web, person: &Person, headers: &HeaderMap) -> Result<HeaderValue, Failure> {
    let now = web.app().clock.now();
    let key = BASE64URL_NOPAD.encode(&random::bytes::<32>());
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = Session {
        token_hash: digest(&key),
        person: person.id,
        created_at: now,
        seen_at: now,
        expires_at: now + IDLE,
        agent: agent.chars().take(LONGEST_AGENT).collect(),
    };
    web.app().store.put_session(&session).await?;
    Ok(cookie(&key, is_secure(web, headers), LONGEST.as_secs()))
}

/// The cookie's line that ends a session in the browser.
pub(crate) fn forget(web: &Web, headers: &HeaderMap) -> HeaderValue {
    cookie("", is_secure(web, headers), 0)
}

/// Who the cookie belongs to. A store that is away for a moment does not sign anybody out.
pub(super) async fn find(web: &Web, key: &str) -> Result<Caller, Failure> {
    let now = web.app().clock.now();
    let digest = digest(key);
    let (session, person) = match web.app().store.find_session(&digest, now).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Caller::Nobody),
        Err(error) => {
            return match web.sessions().recall(&digest, now) {
                Some(person) if error.is_passing() => Ok(Caller::Person(SignedIn { person, digest })),
                _ => Err(error.into()),
            };
        }
    };
    if now >= session.created_at + LONGEST {
        return Ok(Caller::Nobody);
    }
    if now.since(session.seen_at) >= TOUCH_EVERY {
        let expires_at = (now + IDLE).min(session.created_at + LONGEST);
        // A page is not refused because this could not be noted.
        if let Err(error) = web.app().store.touch_session(&digest, now, expires_at).await {
            tracing::warn!(%error, "the use of a session could not be noted");
        }
    }
    web.sessions().remember(&session, &person);
    Ok(Caller::Person(SignedIn { person, digest }))
}

/// The session's key among the cookies.
pub(super) fn from_cookies(headers: &HeaderMap) -> Option<String> {
    cookie_value(headers, SECURE_NAME).or_else(|| cookie_value(headers, PLAIN_NAME))
}

/// One cookie's value.
pub(crate) fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, value)| *known == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// Whether the browser reached us over TLS, as far as we can know: a proxy says so, or we were asked under our
/// configured `https` address.
pub(crate) fn is_secure(web: &Web, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(scheme) = text("x-forwarded-proto") {
        return scheme.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("https"));
    }
    let settings = web.app().settings.load();
    let base = &settings.base_url;
    let asked = text("host").map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    base.scheme() == "https" && base.host_str() == asked
}

fn cookie(key: &str, secure: bool, seconds: u64) -> HeaderValue {
    let (name, secure) = if secure { (SECURE_NAME, "; Secure") } else { (PLAIN_NAME, "") };
    HeaderValue::try_from(format!("{name}={key}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"))
        .expect("base64 and these words are a header")
}

pub(crate) fn digest(key: &str) -> Vec<u8> {
    Sha256::digest(key).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_kept_from_scripts_and_other_sites() {
        assert_eq!(
            cookie("k", true, 60).to_str().unwrap(),
            "__Host-watchbell=k; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(cookie("k", false, 60).to_str().unwrap(), "watchbell=k; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn the_key_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("theme=dark; watchbell=abc; xwatchbell=no"));
        assert_eq!(from_cookies(&headers).as_deref(), Some("abc"));
        assert_eq!(cookie_value(&headers, "theme").as_deref(), Some("dark"));
        assert_eq!(cookie_value(&headers, "zone"), None);
    }
}
