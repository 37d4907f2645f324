//! The push address of Uptime Kuma: `/api/push/<push_token>?status=up|down&msg=OK&ping=<ms>`, by any method. Anything
//! but `up` is down.

use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use watchbell_core::Reason;
use watchbell_core::decide::Signal;
use watchbell_core::ping::Call;

use super::{heard, may_miss, too_often};
use crate::web::Web;

/// What a push may say; others are overlooked.
#[derive(serde::Deserialize)]
pub(crate) struct Push {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    msg: Option<String>,
    /// Milliseconds, as a decimal number.
    #[serde(default)]
    ping: Option<String>,
}

/// Longer times are not believed.
const LONGEST_MS: f64 = 1e11;

pub(crate) async fn push(
    State(web): State<Web>,
    Path(token): Path<String>,
    Query(said): Query<Push>,
    request: Request,
) -> Response {
    let Some(monitor) = web.app().live.by_push_token(&token).filter(|monitor| !monitor.state.paused) else {
        if !may_miss(&web, &request) {
            return too_often();
        }
        let body = serde_json::json!({ "ok": false, "msg": "Monitor not found or not active." });
        return (StatusCode::NOT_FOUND, axum::Json(body)).into_response();
    };
    let words = said.msg.unwrap_or_default();
    let is_up = said.status.as_deref().unwrap_or("up") == "up";
    let took = said.ping.and_then(|ping| ping.parse::<f64>().ok()).filter(|ms| (0.0..=LONGEST_MS).contains(ms));
    let heard = heard(&web, &monitor, Call::Success, request, |called| {
        if !is_up {
            called.signal = Signal::Fail(Reason::new("push", if words.is_empty() { "Reported down" } else { &words }));
        }
        called.took = took.map(|ms| Duration::from_secs_f64(ms / 1000.0));
        if called.last_line.is_empty() {
            called.last_line = watchbell_core::finding::clean(&words, 200);
        }
    });
    match heard.await {
        Ok(()) => axum::Json(serde_json::json!({ "ok": true })).into_response(),
        Err(answer) => answer,
    }
}
