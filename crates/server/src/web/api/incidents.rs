//! `/api/v1/incidents`.

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchbell_core::{Reason, Slug, Timestamp, Verdict};
use watchbell_store::{IncidentFilter, Page};

use super::input::Query;
use super::monitors;
use super::problem::Problem;
use crate::web::Web;

/// From confirmed down to confirmed up.
#[derive(Serialize, JsonSchema)]
struct Incident {
    id: String,
    monitor: Slug,
    /// The first failure.
    since: Timestamp,
    confirmed_at: Timestamp,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_because: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    told: Vec<Slug>,
}

impl From<watchbell_store::Incident> for Incident {
    fn from(it: watchbell_store::Incident) -> Self {
        let (closed_at, closed_because) = it.closed.clone().map(|it| (it.at, it.reason)).unzip();
        let (acknowledged_by, acknowledged_at) = it.acknowledged.clone().map(|it| (it.by, it.at)).unzip();
        Self {
            id: it.public_id(),
            monitor: it.slug,
            since: it.since,
            confirmed_at: it.confirmed_at,
            reason: it.reason,
            closed_at,
            closed_because,
            acknowledged_by,
            acknowledged_at,
            note: it.note,
            told: it.told,
        }
    }
}

/// Which incidents to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only this monitor's, by slug.
    #[serde(default)]
    monitor: Option<String>,
    /// Only open ones, or only closed ones.
    #[serde(default)]
    open: Option<bool>,
    /// Only those that lasted until after this moment.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Only those that began before this moment.
    #[serde(default)]
    to: Option<Timestamp>,
    /// `next` of the page before.
    #[serde(default)]
    before: Option<i64>,
    /// At most so many; 100 unless set, 500 at most.
    #[serde(default)]
    limit: Option<usize>,
}

/// A page of incidents, newest first.
#[derive(Serialize, JsonSchema)]
pub(super) struct List {
    items: Vec<Incident>,
    /// Give this as `before` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

pub(super) async fn list(State(web): State<Web>, Query(filter): Query<Filter>) -> Result<Json<List>, Problem> {
    let monitor = monitors::number(&web, filter.monitor.as_deref())?;
    let limit = filter.limit.unwrap_or(100).clamp(1, 500);
    let page = Page { before: filter.before, limit };
    let wanted = IncidentFilter { monitor, open: filter.open, from: filter.from, to: filter.to };
    let found = web.app().store.incidents(&wanted, page).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id);
    Ok(Json(List { items: found.into_iter().map(Incident::from).collect(), next }))
}

/// An incident with the changes of state that belong to it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Whole {
    incident: Incident,
    transitions: Vec<Change>,
}

/// A change of state.
#[derive(Serialize, JsonSchema)]
struct Change {
    at: Timestamp,
    since: Timestamp,
    old: Verdict,
    new: Verdict,
    reason: Reason,
}

pub(super) async fn read(State(web): State<Web>, Path(id): Path<String>) -> Result<Json<Whole>, Problem> {
    let missing = || Problem::missing("incident", &id);
    let (monitor, seq) = id.split_once('-').ok_or_else(missing)?;
    let (monitor, seq) = (monitor.parse().map_err(|_| missing())?, seq.parse().map_err(|_| missing())?);
    let (incident, transitions) = web.app().store.incident(monitor, seq).await?.ok_or_else(missing)?;
    let transitions = transitions.into_iter().map(|stored| stored.transition);
    Ok(Json(Whole {
        incident: incident.into(),
        transitions: transitions
            .map(|it| Change { at: it.at, since: it.since, old: it.old, new: it.new, reason: it.reason })
            .collect(),
    }))
}
