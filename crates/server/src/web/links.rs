//! Every address of the console, in one place. All of them go through [`url()`], so that the console can move
//! below a path of a shared host without a change elsewhere.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The path that the console lives below; empty at the root of a host.
const BASE: &str = "";

/// What stays as it is in a query value.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(crate) fn url(path: &str) -> String {
    format!("{BASE}{path}")
}

/// Made fit for a query or a path segment.
pub(crate) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, VALUE).to_string()
}

pub(crate) fn overview() -> String {
    url("/")
}

/// The overview of some: `words` as typed into the filter.
pub(crate) fn filtered(words: &str) -> String {
    url(&format!("/?q={}", escaped(words)))
}

pub(crate) fn monitor(slug: &impl std::fmt::Display) -> String {
    url(&format!("/monitors/{slug}"))
}

/// `action` is one of `check`, `pause`, `resume`, `acknowledge`, `edit`, `duplicate`, `delete`.
pub(crate) fn monitor_action(slug: &impl std::fmt::Display, action: &str) -> String {
    url(&format!("/monitors/{slug}/{action}"))
}

pub(crate) fn new_monitor() -> String {
    url("/new")
}

pub(crate) fn heartbeats() -> String {
    url("/heartbeats")
}

pub(crate) fn incidents() -> String {
    url("/incidents")
}

pub(crate) fn incident(public_id: &str) -> String {
    url(&format!("/incidents/{public_id}"))
}

pub(crate) fn alerting() -> String {
    url("/alerting")
}

pub(crate) fn new_channel() -> String {
    url("/alerting/new")
}

pub(crate) fn channel(slug: &impl std::fmt::Display) -> String {
    url(&format!("/alerting/channels/{slug}"))
}

/// `action` is one of `test`, `delete`.
pub(crate) fn channel_action(slug: &impl std::fmt::Display, action: &str) -> String {
    url(&format!("/alerting/channels/{slug}/{action}"))
}

pub(crate) fn deliveries() -> String {
    url("/alerting/deliveries")
}

pub(crate) fn delivery_retry(id: i64) -> String {
    url(&format!("/alerting/deliveries/{id}/retry"))
}

pub(crate) fn problems() -> String {
    url("/problems")
}

pub(crate) fn settings() -> String {
    url("/settings")
}

pub(crate) fn tokens() -> String {
    url("/settings/tokens")
}

pub(crate) fn about() -> String {
    url("/settings/about")
}

pub(crate) fn login() -> String {
    url("/login")
}

pub(crate) fn setup() -> String {
    url("/setup")
}

/// Where a person may be sent after signing in: a path of ours, nothing that a browser could read as another host.
pub(crate) fn is_ours(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_ours() {
        for path in ["/", "/monitors/shop?window=7d", "/?q=state%3Adown"] {
            assert!(is_ours(path), "{path}");
        }
        for path in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "\\/evil",
            "/\u{9}/evil",
            "/a b",
            "javascript:alert(1)",
        ] {
            assert!(!is_ours(path), "{path}");
        }
    }

    #[test]
    fn words_are_escaped_in_a_query() {
        assert_eq!(filtered("state:down tag:a&b"), "/?q=state%3Adown%20tag%3Aa%26b");
    }
}
