//! Heartbeats in: `/ping/<ping_id>`, `/ping/<ping_key>/<slug>` (each with `/start`, `/fail`, `/log` or an exit
//! status) and `/api/push/<push_token>`. 200 means committed; 503 with `Retry-After` means: call again.
//!
//! The answers are those that clients of Healthchecks and Uptime Kuma expect, word for word.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use watchbell_core::decide::Signal;
use watchbell_core::{Reason, Slug};

use crate::app::App;
use crate::engine::Refused;

/// `/ping/{ping_id}`
pub(crate) async fn by_id(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    by_id_with(app, &id, "").await
}

/// `/ping/{first}/{second}`: an id with a suffix, or the ping key with a slug.
pub(crate) async fn by_two(State(app): State<Arc<App>>, Path((first, second)): Path<(String, String)>) -> Response {
    if uuid::Uuid::try_parse(&first).is_ok() {
        by_id_with(app, &first, &second).await
    } else {
        by_slug_with(app, &first, &second, "").await
    }
}

/// `/ping/{ping_key}/{slug}/{suffix}`
pub(crate) async fn by_three(
    State(app): State<Arc<App>>,
    Path((key, slug, suffix)): Path<(String, String, String)>,
) -> Response {
    by_slug_with(app, &key, &slug, &suffix).await
}

async fn by_id_with(app: Arc<App>, id: &str, suffix: &str) -> Response {
    let Ok(id) = uuid::Uuid::try_parse(id) else { return answer(StatusCode::NOT_FOUND, "not found") };
    let found = app.live.monitors().into_iter().find(|monitor| {
        monitor.fixed.spec.heartbeat.as_ref().is_some_and(|beat| beat.ping_id == Some(id))
    });
    match found {
        Some(monitor) => ping(&app, monitor.fixed.slug.clone(), suffix).await,
        None => answer(StatusCode::NOT_FOUND, "not found"),
    }
}

async fn by_slug_with(app: Arc<App>, key: &str, slug: &str, suffix: &str) -> Response {
    let right: bool = app.settings.load().ping_key.expose().as_bytes().ct_eq(key.as_bytes()).into();
    let monitor = app.live.get(slug).filter(|monitor| right && monitor.fixed.spec.heartbeat.is_some());
    match monitor {
        Some(monitor) => ping(&app, monitor.fixed.slug.clone(), suffix).await,
        None => answer(StatusCode::NOT_FOUND, "not found"),
    }
}

async fn ping(app: &App, slug: Slug, suffix: &str) -> Response {
    let signal = match suffix {
        "" => Signal::Success,
        "start" => Signal::Start,
        "log" => Signal::Log,
        "fail" => Signal::Fail(Reason::new("fail", "The job says that it failed")),
        status => match status.parse::<u32>() {
            Ok(0) => Signal::Success,
            Ok(code @ 1..=255) => Signal::Fail(Reason::new("exit", format!("The job ended with exit status {code}"))),
            _ => return answer(StatusCode::BAD_REQUEST, "invalid url format"),
        },
    };
    match app.engine.ping(slug, signal).await {
        Ok(()) => answer(StatusCode::OK, "OK"),
        Err(Refused::NoMonitor(_)) => answer(StatusCode::NOT_FOUND, "not found"),
        Err(_) => again(),
    }
}

fn answer(status: StatusCode, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=0, no-cache, no-store, must-revalidate, private")),
    ];
    (status, headers, text).into_response()
}

fn again() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], "not committed, call again\n").into_response()
}

/// What a push may say; `ping` is the duration in milliseconds that some clients send.
#[derive(serde::Deserialize)]
pub(crate) struct Push {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    msg: Option<String>,
}

/// `/api/push/{push_token}?status=up|down&msg=&ping=`: anything but `up` is down.
pub(crate) async fn push(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Query(said): Query<Push>,
) -> Response {
    let found = app.live.monitors().into_iter().find(|monitor| {
        monitor.fixed.spec.heartbeat.as_ref().and_then(|beat| beat.push_token.as_ref()).is_some_and(|expected| {
            bool::from(expected.expose().as_bytes().ct_eq(token.as_bytes()))
        })
    });
    let missing = || {
        let body = serde_json::json!({ "ok": false, "msg": "Monitor not found or not active." });
        (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
    };
    let Some(monitor) = found.filter(|monitor| !monitor.state.paused) else { return missing() };
    let signal = match said.status.as_deref().unwrap_or("up") {
        "up" => Signal::Success,
        _ => Signal::Fail(Reason::new("push", said.msg.as_deref().filter(|it| !it.is_empty()).unwrap_or("Reported down"))),
    };
    match app.engine.ping(monitor.fixed.slug.clone(), signal).await {
        Ok(()) => axum::Json(serde_json::json!({ "ok": true })).into_response(),
        Err(Refused::NoMonitor(_)) => missing(),
        Err(_) => again(),
    }
}
