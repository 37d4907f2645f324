//! `/api/v1/deliveries`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchbell_core::{Message, Slug, Timestamp};
use watchbell_store::{DeliveryFilter, DeliveryState, Page};

use super::input::Query;
use super::monitors;
use super::problem::Problem;
use crate::web::Web;
use crate::web::auth::Caller;

/// One message to one channel.
#[derive(Serialize, JsonSchema)]
struct Delivery {
    id: i64,
    channel: Slug,
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor: Option<Slug>,
    /// `down`, `up`, `reminder`, …
    event: String,
    /// The same on every try.
    key: String,
    /// `pending`, `claimed` (being sent), `done`, `dead` (given up) or `cancelled`.
    state: &'static str,
    attempts: u32,
    created_at: Timestamp,
    /// When the next try is due.
    due: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl Delivery {
    fn new(it: &watchbell_store::Delivery) -> Self {
        Self {
            id: it.id,
            channel: it.channel.clone(),
            monitor: it.slug.clone(),
            event: it.event.clone(),
            key: it.key.clone(),
            state: it.state.name(),
            attempts: it.attempt,
            created_at: it.created_at,
            due: it.due,
            done_at: it.done_at,
            last_error: it.last_error.clone(),
        }
    }
}

/// Which deliveries to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only this monitor's, by slug.
    #[serde(default)]
    monitor: Option<String>,
    /// Only this channel's.
    #[serde(default)]
    channel: Option<Slug>,
    /// Only those in this state.
    #[serde(default)]
    state: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    before: Option<i64>,
    /// At most so many; 100 unless set, 500 at most.
    #[serde(default)]
    limit: Option<usize>,
}

/// A page of deliveries, newest first.
#[derive(Serialize, JsonSchema)]
pub(super) struct List {
    items: Vec<Delivery>,
    /// Give this as `before` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

pub(super) async fn list(State(web): State<Web>, Query(filter): Query<Filter>) -> Result<Json<List>, Problem> {
    let monitor = monitors::number(&web, filter.monitor.as_deref())?;
    let state = match filter.state.as_deref() {
        None => None,
        Some(name) => Some(
            DeliveryState::from_name(name)
                .ok_or_else(|| Problem::field("state", "A delivery is pending, claimed, done, dead or cancelled."))?,
        ),
    };
    let limit = filter.limit.unwrap_or(100).clamp(1, 500);
    let wanted = DeliveryFilter { monitor, channel: filter.channel, state, ..DeliveryFilter::default() };
    let found = web.app().store.deliveries(&wanted, Page { before: filter.before, limit }).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id);
    Ok(Json(List { items: found.iter().map(Delivery::new).collect(), next }))
}

/// A delivery with its message and its tries.
#[derive(Serialize, JsonSchema)]
pub(super) struct Whole {
    delivery: Delivery,
    message: Message,
    tries: Vec<Try>,
}

/// One try.
#[derive(Serialize, JsonSchema)]
struct Try {
    n: u32,
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// `done`, `later` or `dead`; absent if we stopped in the middle.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// What the service answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

pub(super) async fn read(State(web): State<Web>, Path(id): Path<i64>) -> Result<Json<Whole>, Problem> {
    let found = web.app().store.delivery(id).await?;
    let (delivery, attempts) = found.ok_or_else(|| Problem::missing("delivery", &id.to_string()))?;
    let tries = attempts
        .into_iter()
        .map(|it| Try {
            n: it.n,
            started_at: it.started_at,
            ended_at: it.ended_at,
            outcome: it.outcome,
            answer: it.answer,
        })
        .collect();
    Ok(Json(Whole { delivery: Delivery::new(&delivery), message: delivery.message, tries }))
}

pub(super) async fn retry(State(web): State<Web>, caller: Caller, Path(id): Path<i64>) -> Result<Json<Whole>, Problem> {
    if !web.app().retry_delivery(id).await? {
        let sentence = "Only a delivery that was given up can be sent once more.";
        return Err(Problem::new(StatusCode::CONFLICT, sentence));
    }
    web.note(&caller, "sent once more", &format!("delivery {id}")).await;
    read(State(web), Path(id)).await
}
