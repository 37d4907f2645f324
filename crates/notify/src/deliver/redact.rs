//! Takes secrets out of what others say: a server may repeat what it was sent, and its answer is kept and shown.

use data_encoding::BASE64;
use url::Url;
use watchbell_core::Secret;

use crate::{Mail, Request};

/// Shorter ones are words like any other, and would take half of an answer with them.
const SHORTEST: usize = 4;
/// A part of a URL's path that is as long as this may be a token.
const SHORTEST_PART: usize = 12;
const MASK: &str = "•••";

/// Knows the secrets of one call, in every form in which they may come back.
pub(super) struct Redactor {
    /// Longest first, so that no secret hides another.
    secrets: Vec<String>,
}

impl Redactor {
    pub(super) fn for_request(request: &Request) -> Self {
        let mut secrets: Vec<String> = request.secrets.iter().flat_map(forms).collect();
        secrets.extend(request.proxy.iter().flat_map(forms));
        let url = request.url.expose();
        secrets.push(url.to_owned());
        if let Ok(url) = Url::parse(url) {
            let target = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
            secrets.extend(
                target.split(['/', '?', '&', '=']).filter(|part| part.len() >= SHORTEST_PART).map(str::to_owned),
            );
            if target.len() >= SHORTEST_PART {
                secrets.push(target);
            }
        }
        Self::of(secrets)
    }

    pub(super) fn for_mail(mail: &Mail) -> Self {
        let mut secrets = Vec::new();
        if let Some((user, password)) = &mail.relay.login {
            secrets.extend(forms(password));
            secrets.push(BASE64.encode(password.expose().as_bytes()));
            secrets.push(BASE64.encode(format!("\0{user}\0{}", password.expose()).as_bytes()));
        }
        Self::of(secrets)
    }

    fn of(mut secrets: Vec<String>) -> Self {
        secrets.retain(|secret| secret.chars().count() >= SHORTEST);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// The text with every secret masked.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
            }
        }
        text
    }

    /// The same for a text that was cut off: half a secret may stand at its end.
    pub(super) fn redact_cut(&self, text: &str) -> String {
        let mut text = self.redact(text);
        let half = |end: &str| self.secrets.iter().any(|secret| secret.starts_with(end));
        let longest = self.secrets.first().map_or(0, String::len);
        let starts = text.char_indices().map(|(at, _)| at).skip_while(|at| text.len() - at > longest);
        if let Some(at) = starts.into_iter().find(|at| half(&text[*at..])) {
            text.truncate(at);
        }
        text
    }
}

/// As it is, as a string in JSON (PHP escapes its slashes), and its parts: `Bearer …` comes back without `Bearer`, a
/// bot's token without its number.
fn forms(secret: &Secret) -> Vec<String> {
    let secret = secret.expose();
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let mut forms = vec![secret.to_owned(), json.replace('/', "\\/"), json];
    forms.extend(secret.split([' ', ':']).filter(|word| word.len() >= SHORTEST_PART).map(str::to_owned));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tls;

    fn redactor(url: &str, secrets: &[&str]) -> Redactor {
        Redactor::for_request(&Request {
            method: "POST",
            url: Secret::new(url),
            headers: Vec::new(),
            body: String::new(),
            to: "the hook".into(),
            tls: Tls::default(),
            proxy: None,
            secrets: secrets.iter().copied().map(Secret::new).collect(),
        })
    }

    #[test]
    fn secrets_are_masked_in_every_form_they_come_back_in() {
        let redactor = redactor(
            "https://h.example/hook/T0123456789ab/x?key=abcdefghijkl",
            &["Bearer canary-7f3a9c", "a/\"b\"/c-canary"],
        );
        for text in [
            "you sent Authorization: Bearer canary-7f3a9c!",
            "unknown token canary-7f3a9c",
            "Cannot POST /hook/T0123456789ab/x?key=abcdefghijkl",
            "key abcdefghijkl and part T0123456789ab",
            r#"{"auth":"a/\"b\"/c-canary"}"#,
            r#"{"auth":"a\/\"b\"\/c-canary"}"#,
        ] {
            let redacted = redactor.redact(text);
            assert!(redacted.contains(MASK), "{redacted}");
            for secret in ["canary", "T0123", "abcdefgh"] {
                assert!(!redacted.contains(secret), "{redacted}");
            }
        }
        assert_eq!(redactor.redact("nothing here, by the hook"), "nothing here, by the hook");
    }

    #[test]
    fn half_a_secret_at_a_cut_goes_too() {
        let redactor = redactor("https://h.example/", &["canary-7f3a9c"]);
        assert_eq!(redactor.redact_cut("token canary-7f"), "token ");
        assert_eq!(redactor.redact_cut("token canary-7f3a9c"), "token •••");
        assert_eq!(redactor.redact_cut("nothing at all"), "nothing at all");
    }
}
