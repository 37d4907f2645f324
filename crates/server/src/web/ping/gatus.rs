//! External endpoints as Gatus takes them: `POST /api/v1/endpoints/<key>/external?success=true&error=&duration=10s`
//! with the push token as bearer. The key is Gatus' own (`<group>_<name>`) or the slug.

use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use watchbell_core::decide::Signal;
use watchbell_core::ping::Call;
use watchbell_core::{Reason, Span};

use super::{heard, may_miss, too_often};
use crate::live::Watched;
use crate::web::Web;

/// What a result may say.
#[derive(serde::Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    success: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    duration: Option<String>,
}

pub(crate) async fn external(
    State(web): State<Web>,
    Path(key): Path<String>,
    Query(said): Query<Said>,
    request: Request,
) -> Response {
    let refused = |status: StatusCode, text: &'static str| (status, text).into_response();
    let missed =
        |status, text, request: &Request| if may_miss(&web, request) { refused(status, text) } else { too_often() };
    let success = match said.success.as_deref() {
        Some("true") => true,
        Some("false") => false,
        _ => return refused(StatusCode::BAD_REQUEST, "missing or invalid success value"),
    };
    let took = match said.duration.as_deref().filter(|text| !text.is_empty()).map(duration) {
        None => None,
        Some(Some(took)) => Some(took),
        Some(None) => return refused(StatusCode::BAD_REQUEST, "invalid duration"),
    };
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim).map(str::to_owned) else {
        return missed(StatusCode::UNAUTHORIZED, "bearer token must not be empty", &request);
    };
    let Some(monitor) = web.app().live.by_endpoint_key(&key) else {
        return missed(StatusCode::NOT_FOUND, "not found", &request);
    };
    if !opens(&monitor, &token) {
        return missed(StatusCode::UNAUTHORIZED, "invalid token", &request);
    }
    let error = said.error.unwrap_or_default();
    let heard = heard(&web, &monitor, Call::Success, request, |called| {
        called.signal = match (success, error.as_str()) {
            (true, _) => Signal::Success,
            (false, "") => Signal::Fail(Reason::new("external", "Reported as failed")),
            (false, why) => Signal::Fail(Reason::new("external", why)),
        };
        called.took = took;
        called.last_line = watchbell_core::finding::clean(&error, 200);
    });
    match heard.await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(answer) => answer,
    }
}

fn opens(monitor: &Watched, token: &str) -> bool {
    let expected = monitor.fixed.spec.heartbeat.as_ref().and_then(|beat| beat.push_token.as_ref());
    expected.is_some_and(|expected| bool::from(expected.expose().as_bytes().ct_eq(token.as_bytes())))
}

/// As Go writes it: `1m30.5s`, `250ms`, `0`; micro- and nanoseconds are too short to matter.
fn duration(text: &str) -> Option<Duration> {
    let small = ["us", "µs", "μs", "ns"].iter().find_map(|unit| text.strip_suffix(unit));
    match small {
        Some(number) => number.parse::<f64>().ok().filter(|number| *number >= 0.0).map(|_| Duration::ZERO),
        None if text == "0" => Some(Duration::ZERO),
        None if text.ends_with(|c: char| c.is_ascii_digit()) => None,
        None => text.parse::<Span>().ok().map(|span| span.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("1m30.5s"), Some(Duration::from_millis(90_500)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("10us"), Some(Duration::ZERO));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        assert_eq!(duration("10"), None);
        assert_eq!(duration("soon"), None);
        assert_eq!(duration("-5s"), None);
    }
}
