//! Who reads a page: the caller, their theme and their zone, and the moment the page is made.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;

use super::Web;
use super::auth::session::cookie_value;
use super::auth::{Caller, Permission};
use super::words::Calendar;

/// The cookie with the chosen theme; without it the system decides.
pub(crate) const THEME: &str = "theme";
/// The cookie with the zone that a person chose in the settings.
pub(crate) const ZONE: &str = "zone";
/// The cookie with the zone of the browser, set by a script.
const BROWSER_ZONE: &str = "tz";
/// What our own scripts send along, so that they get an answer in place of a page.
const SCRIPT: &str = "x-watchbell";

#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub calendar: Calendar,
    pub caller: Caller,
    /// `light` or `dark`, if chosen.
    pub theme: Option<&'static str>,
    /// What was just done, as the address says.
    pub said: Option<&'static str>,
    /// A script asks, not a person.
    pub script: bool,
    /// The path with its query.
    pub here: String,
}

impl Reader {
    pub(crate) fn is_editor(&self) -> bool {
        self.caller.may(Permission::Editor)
    }

    pub(crate) fn now(&self) -> watchbell_core::Timestamp {
        self.calendar.now
    }

    /// The answer after something was done: back to a page that says so, or the sentence alone for a script.
    pub(crate) fn done(&self, to: &str, said: Said) -> Response {
        if self.script {
            return axum::Json(serde_json::json!({ "said": said.sentence() })).into_response();
        }
        let (path, anchor) = to.split_once('#').map_or((to, None), |(path, anchor)| (path, Some(anchor)));
        let sign = if path.contains('?') { '&' } else { '?' };
        let mut to = format!("{path}{sign}said={}", said.name());
        if let Some(anchor) = anchor {
            to = format!("{to}#{anchor}");
        }
        Redirect::to(&to).into_response()
    }

    pub(crate) fn of(web: &Web, headers: &HeaderMap, caller: Caller, here: &str) -> Self {
        let zone = [ZONE, BROWSER_ZONE]
            .into_iter()
            .filter_map(|name| cookie_value(headers, name))
            .find_map(|name| zone_of(&name));
        let query = here.split_once('?').map_or("", |(_, query)| query);
        let said = query.split('&').filter_map(|pair| pair.strip_prefix("said=")).find_map(Said::named);
        Self {
            calendar: Calendar { now: web.app().clock.now(), zone: zone.unwrap_or_else(TimeZone::system) },
            caller,
            theme: cookie_value(headers, THEME).as_deref().and_then(theme_named),
            said: said.map(Said::sentence),
            script: headers.contains_key(SCRIPT),
            here: here.to_owned(),
        }
    }
}

/// What was done, as it is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Saved,
    Added,
    Deleted,
    Paused,
    Resumed,
    Acknowledged,
    Checked,
    StillAsking,
    Retried,
    Revoked,
    PasswordChanged,
    SignedOutElsewhere,
}

impl Said {
    const ALL: [(Self, &'static str, &'static str); 12] = [
        (Self::Saved, "saved", "Saved."),
        (Self::Added, "added", "Added. The first check is on its way."),
        (Self::Deleted, "deleted", "Deleted."),
        (Self::Paused, "paused", "Paused. Nobody looks until you resume."),
        (Self::Resumed, "resumed", "Resumed. The next check is on its way."),
        (Self::Acknowledged, "acknowledged", "Acknowledged. Reminders stop, the recovery will still be told."),
        (Self::Checked, "checked", "Checked just now."),
        (Self::StillAsking, "asking", "Still waiting for the answer. It will appear here."),
        (Self::Retried, "retried", "Will be sent again now."),
        (Self::Revoked, "revoked", "Revoked. It no longer opens anything."),
        (Self::PasswordChanged, "password", "Password changed. All other sessions have ended."),
        (Self::SignedOutElsewhere, "out", "Signed out everywhere else."),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(it, ..)| *it == self).map_or("", |(_, name, _)| name)
    }

    fn sentence(self) -> &'static str {
        Self::ALL.iter().find(|(it, ..)| *it == self).map_or("", |(.., sentence)| sentence)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(it, ..)| *it)
    }
}

/// A zone by its name; `None` if there is none of that name.
pub(crate) fn zone_of(name: &str) -> Option<TimeZone> {
    let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
    TimeZone::get(&name).ok()
}

pub(crate) fn theme_named(name: &str) -> Option<&'static str> {
    ["light", "dark"].into_iter().find(|theme| *theme == name)
}

/// A cookie that a page may read again: a preference, no secret. Kept for a year.
pub(crate) fn preference(name: &str, value: &str) -> HeaderValue {
    let seconds = if value.is_empty() { 0 } else { 365 * 86_400 };
    let value = super::links::escaped(value);
    HeaderValue::try_from(format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax"))
        .expect("escaped text is a header")
}

impl FromRequestParts<Web> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::Nobody);
        let here = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        debug_assert!(parts.headers.get(header::HOST).is_none_or(|host| !host.is_empty()));
        Ok(Self::of(web, &parts.headers, caller, here))
    }
}
