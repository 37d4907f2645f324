//! API tokens: shown once, kept as a digest, found by it. A prefix stays readable, so that people know which is which.

use std::time::Duration;

use watchbell_store::{ApiToken, NewToken};

use super::{Caller, session};
use crate::random;
use crate::web::Web;
use crate::web::error::Failure;

/// May read everything.
pub(crate) const READ: &str = "read";
/// May read and change everything.
pub(crate) const WRITE: &str = "write";

/// Written before each token, so that it is recognised where it leaks.
const MARK: &str = "wb_";
const PREFIX_LENGTH: usize = 11;
/// Using a token is written down at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// Makes a token. The text is returned this once and kept nowhere.
pub(crate) async fn make(
    web: &Web,
    name: &str,
    scope: &str,
    by: &str,
    lasts: Option<Duration>,
) -> Result<(ApiToken, String), Failure> {
    let now = web.app().clock.now();
    let text = format!("{MARK}{}", random::token());
    let token = NewToken {
        prefix: text[..PREFIX_LENGTH].to_owned(),
        token_hash: session::digest(&text),
        name: name.to_owned(),
        scope: scope.to_owned(),
        created_by: by.to_owned(),
        expires_at: lasts.map(|lasts| now + lasts),
    };
    let made = web.app().store.create_token(&token, now).await?;
    Ok((made, text))
}

/// The token behind the text of an `Authorization` line.
pub(super) async fn find(web: &Web, text: &str) -> Result<Caller, Failure> {
    let now = web.app().clock.now();
    let found = web.app().store.find_token(&session::digest(text), now).await?;
    let token = found.ok_or(Failure::Unauthorised)?;
    if token.used_at.is_none_or(|used| now.since(used) >= TOUCH_EVERY)
        && let Err(error) = web.app().store.touch_token(token.id, now).await
    {
        tracing::warn!(%error, "the use of a token could not be noted");
    }
    Ok(Caller::Program(token))
}
