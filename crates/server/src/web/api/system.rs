//! `/api/v1/status` and `/api/v1/problems`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use watchbell_core::Timestamp;

use crate::app::Problem;
use crate::live::Shown;
use crate::web::Web;

/// How everything is, at a glance.
#[derive(Serialize, JsonSchema)]
pub(super) struct Status {
    version: &'static str,
    started_at: Timestamp,
    now: Timestamp,
    /// Monitors by state; every state is there.
    monitors: BTreeMap<Shown, usize>,
    problems: usize,
    deliveries_waiting: i64,
    checks: u64,
}

pub(super) async fn status(State(web): State<Web>) -> Json<Status> {
    let app = web.app();
    let mut monitors: BTreeMap<Shown, usize> = Shown::ALL.into_iter().map(|state| (state, 0)).collect();
    for watched in app.live.monitors() {
        *monitors.entry(watched.shown()).or_default() += 1;
    }
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        started_at: app.started_at,
        now: app.clock.now(),
        monitors,
        problems: app.problems.all().len(),
        deliveries_waiting: app.own.deliveries_waiting.load(Ordering::Relaxed),
        checks: app.own.checks.load(Ordering::Relaxed),
    })
}

pub(super) async fn problems(State(web): State<Web>) -> Json<Vec<Problem>> {
    Json(web.app().problems.all())
}
