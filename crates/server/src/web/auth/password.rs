//! Passwords: Argon2id with 19 MiB and two passes, at most two at a time, with the same work for names nobody has.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::random;

/// Shorter ones are guessed.
pub(crate) const SHORTEST: usize = 10;
/// Longer ones are no passwords but an attempt to keep us busy.
const LONGEST: usize = 1000;
/// Hashing fills memory and a core; more at a time would be a way to stop us.
const AT_A_TIME: usize = 2;

static PLACES: Semaphore = Semaphore::const_new(AT_A_TIME);

/// What a name that nobody has is compared with.
static NOBODY: LazyLock<String> = LazyLock::new(|| hashed(&random::token()).unwrap_or_default());

/// What is wrong with a new password, if anything.
pub(crate) fn complaint(password: &str) -> Option<String> {
    match password.chars().count() {
        ..SHORTEST => Some(format!("A password has at least {SHORTEST} characters.")),
        LONGEST.. => Some(format!("A password has fewer than {LONGEST} characters.")),
        _ => None,
    }
}

/// The text that is stored instead of the password.
pub(crate) async fn hash(password: String) -> Option<String> {
    on_another_thread(move || hashed(&password)).await.flatten()
}

/// Whether `password` is the one behind `stored`. Without `stored` the same work is done, and the answer is no.
pub(crate) async fn verify(password: String, stored: Option<String>) -> bool {
    if password.chars().count() >= LONGEST {
        return false;
    }
    let known = stored.is_some();
    let right = on_another_thread(move || {
        let stored = stored.unwrap_or_else(|| NOBODY.clone());
        let Ok(parsed) = PasswordHash::new(&stored) else { return false };
        Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
    });
    right.await.unwrap_or(false) && known
}

async fn on_another_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let _place = PLACES.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}

fn hashed(password: &str) -> Option<String> {
    let salt = random::bytes::<16>();
    let hash: PasswordHash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_only() {
        let stored = hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse".into(), Some(stored.clone())).await);
        assert!(!verify("correct hors".into(), Some(stored)).await);
        assert!(!verify("correct horse".into(), None).await);
    }

    #[test]
    fn short_passwords_are_refused_with_the_rule() {
        assert_eq!(complaint("ninechars").unwrap(), "A password has at least 10 characters.");
        assert_eq!(complaint("ten chars!"), None);
    }
}
