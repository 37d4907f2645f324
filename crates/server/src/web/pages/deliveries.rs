//! Every message to every channel: what it was about, how often it was tried, what the answer was.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use watchbell_store::{Delivery, DeliveryFilter, DeliveryState};

use super::alerting;
use crate::web::error::Failure;
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::reader::{Reader, Said};
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts, words};

const ROWS: usize = 50;

#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(crate) struct Asked {
    /// `waiting`, `done` or `dead`; all if it is none of them.
    #[serde(default)]
    show: String,
    /// Older than the delivery of this number.
    #[serde(default)]
    before: String,
}

const FILTERS: [(&str, &str, Option<DeliveryState>); 4] = [
    ("", "All", None),
    ("waiting", "Waiting", Some(DeliveryState::Pending)),
    ("done", "Delivered", Some(DeliveryState::Done)),
    ("dead", "Given up", Some(DeliveryState::Dead)),
];

/// `GET /alerting/deliveries`
pub(crate) async fn page(
    State(web): State<Web>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let list = list(&web, &reader, &asked.show, asked.before.parse().ok()).await?;
    let main = html! {
        div.headline.tight.plain { div { h1 { "Deliveries" } p { "Each message to each channel, newest first." } } }
        (alerting::tabs(web.app().live.channels().len(), &shell, false))
        div.row.mb8 {
            span.seg role="group" aria-label="Which" {
                @for (name, word, _) in FILTERS {
                    a href={ (links::deliveries()) @if !name.is_empty() { "?show=" (name) } } aria-current=[(name == asked.show).then_some("true")] {
                        (word)
                    }
                }
            }
        }
        (PreEscaped(list.html))
    };
    // An older page is history: nothing on it changes.
    let live = if asked.before.is_empty() {
        format!("of=deliveries&show={}", links::escaped(&asked.show))
    } else {
        String::new()
    };
    let above = vec![(links::alerting(), "Alerting".to_owned())];
    let page = Page { live, above, ..Page::new("Deliveries", Place::Alerting, main) };
    Ok(layout::page(&web, &reader, &shell, page))
}

pub(crate) async fn view(web: &Web, reader: &Reader, show: &str) -> Result<View, Failure> {
    Ok(View { title: "Deliveries".into(), fragments: vec![list(web, reader, show, None).await?] })
}

async fn list(web: &Web, reader: &Reader, show: &str, before: Option<i64>) -> Result<Fragment, Failure> {
    let state = FILTERS.iter().find(|(name, ..)| *name == show).and_then(|(.., state)| *state);
    let filter = DeliveryFilter { state, ..DeliveryFilter::default() };
    let mut found = web.app().store.deliveries(&filter, watchbell_store::Page { before, limit: ROWS + 1 }).await?;
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    let older = found.last().filter(|_| more).map(|last| last.id);
    Ok(Fragment::new(
        "deliveries",
        html! {
            div #deliveries {
                @if found.is_empty() {
                    section.panel {
                        (parts::empty("Nothing here", "Messages appear as soon as something is told.", &Markup::default()))
                    }
                } @else {
                    div.tbl-wrap { (alerting::table(&found, reader)) }
                }
                @if older.is_some() || before.is_some() {
                    nav.range aria-label="Pages" {
                        @if before.is_some() { a.btn.sm href={ (links::deliveries()) "?show=" (show) } { "Newest" } }
                        @if let Some(older) = older {
                            a.btn.sm href={ (links::deliveries()) "?show=" (show) "&before=" (older) } rel="next" {
                                "Older"
                            }
                        }
                    }
                }
            }
        },
    ))
}

/// `POST /alerting/deliveries/{id}/retry`
pub(crate) async fn retry(State(web): State<Web>, reader: Reader, Path(id): Path<i64>) -> Result<Response, Failure> {
    if !web.app().retry_delivery(id).await? {
        return Err(Failure::Refused("This message was not given up, so it is not sent again.".into()));
    }
    web.note(&reader.caller, "sent once more", &format!("delivery {id}")).await;
    Ok(reader.done(&links::deliveries(), Said::Retried))
}

pub(super) const fn state(state: DeliveryState) -> (&'static str, &'static str) {
    match state {
        DeliveryState::Pending => ("degraded", "Waiting"),
        DeliveryState::Claimed => ("degraded", "Sending"),
        DeliveryState::Done => ("up", "Delivered"),
        DeliveryState::Dead => ("down", "Given up"),
        DeliveryState::Cancelled => ("paused", "Not needed"),
    }
}

/// What it says, in a phrase, with the way there.
pub(super) fn about(it: &Delivery) -> Markup {
    let name = &it.message.monitor.name;
    let event = match it.event.as_str() {
        "down" => "is down",
        "up" => "is up again",
        "reminder" => "is still down",
        "degraded" => "is slow",
        "expiry" => "has a certificate that ends",
        "closed" => "is no longer watched",
        other => other,
    };
    html! {
        @match (&it.message.incident, &it.slug) {
            _ if it.message.test => { "A test" },
            (Some(incident), Some(_)) => {
                a.quiet href=(links::incident(&incident.id)) { b.b { (name) } " " (event) }
            },
            (None, Some(slug)) => { a.quiet href=(links::monitor(slug)) { b.b { (name) } " " (event) } },
            (_, None) => { b.b { (name) } " " (event) },
        }
    }
}

pub(super) fn tries(it: &Delivery, reader: &Reader) -> Markup {
    html! {
        @match it.state {
            DeliveryState::Done => {
                @if it.attempt > 1 { "at try " (it.attempt) }
                @if let Some(at) = it.done_at {
                    @if it.attempt > 1 { ", " } "after " (words::latency(at.since(it.created_at)))
                }
            },
            DeliveryState::Pending if it.attempt > 0 => {
                (words::counted(it.attempt as usize, "try", "tries")) ", next " (reader.calendar.time(it.due))
                @if let Some(error) = &it.last_error { ": " (error) }
            },
            DeliveryState::Pending => { "due " (reader.calendar.time(it.due)) },
            DeliveryState::Claimed => { "try " (it.attempt) " is under way" },
            DeliveryState::Dead => {
                (words::counted(it.attempt as usize, "try", "tries"))
                @if let Some(error) = &it.last_error { ": " (error) }
            },
            DeliveryState::Cancelled => { "no longer needed" },
        }
    }
}
