//! `/api/v1/monitors/{slug}/pings`: the run log of a heartbeat.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchbell_core::Timestamp;
use watchbell_store::{Page, PingBody, StoredPing};

use super::input::Query;
use super::problem::Problem;
use crate::engine::Refused;
use crate::web::Web;

/// One call of a heartbeat.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Ping {
    /// Counts up from 1 for each monitor.
    n: u64,
    at: Timestamp,
    /// `success`, `start`, `fail` or `log`.
    kind: &'static str,
    /// The run it belongs to, if the job named it (`rid`).
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// Milliseconds since the start of its run, if that was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<u8>,
    /// The last line of its body.
    last_line: String,
    method: String,
    address: String,
    agent: String,
    /// Bytes of the body as it was sent.
    size: u64,
}

impl From<&StoredPing> for Ping {
    fn from(it: &StoredPing) -> Self {
        Self {
            n: it.n,
            at: it.at,
            kind: it.kind.name(),
            run: it.run.map(|run| run.to_string()),
            took_ms: it.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            exit_status: it.exit_status,
            last_line: it.last_line.clone(),
            method: it.method.clone(),
            address: it.address.clone(),
            agent: it.agent.clone(),
            size: it.size,
        }
    }
}

/// A window of time, and where to go on in it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    /// From this moment on; from the beginning unless set.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Before this moment; now unless set.
    #[serde(default)]
    to: Option<Timestamp>,
    /// Only those with a smaller `n`.
    #[serde(default)]
    before: Option<i64>,
    /// At most so many, the newest; 100 unless set, 500 at most.
    #[serde(default)]
    limit: Option<usize>,
}

pub(super) async fn list(
    State(web): State<Web>,
    Path(name): Path<String>,
    Query(window): Query<Window>,
) -> Result<Json<Vec<Ping>>, Problem> {
    let monitor = find(&web, &name)?;
    let page = Page { before: window.before, limit: window.limit.unwrap_or(100) };
    let (from, to) = (window.from.unwrap_or(Timestamp::EPOCH), window.to.unwrap_or(Timestamp::NEVER));
    let found = web.app().store.pings(monitor, from, to, page).await?;
    Ok(Json(found.iter().map(Ping::from).collect()))
}

pub(super) async fn body(State(web): State<Web>, Path((name, n)): Path<(String, u64)>) -> Result<Response, Problem> {
    let monitor = find(&web, &name)?;
    match web.app().store.ping_body(monitor, n).await? {
        Some(body) => Ok(as_text(&body)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("`{name}` has no ping {n}, or none any more."))),
    }
}

/// The body as it was sent, with a line where something was left out. Never anything but text to a browser.
pub(in crate::web) fn as_text(body: &PingBody) -> Response {
    let mut bytes = body.head.clone();
    if body.left_out() > 0 {
        bytes.extend_from_slice(format!("\n[… {} bytes left out …]\n", body.left_out()).as_bytes());
    }
    bytes.extend_from_slice(&body.tail);
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    (headers, bytes).into_response()
}

fn find(web: &Web, name: &str) -> Result<i64, Problem> {
    let found = web.app().live.get(name).map(|watched| watched.fixed.id);
    found.ok_or_else(|| Refused::NoMonitor(name.to_owned()).into())
}
