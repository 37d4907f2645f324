//! One incident: what happened in order, who knows, what came before.

use std::time::Duration;

use axum::extract::{Path, State};
use maud::{Markup, html};
use watchbell_core::{Timestamp, Verdict};
use watchbell_store::{Delivery, DeliveryFilter, DeliveryState, Incident, IncidentFilter, StoredTransition};

use super::deliveries;
use super::overview::{cause, group_of};
use crate::live::Watched;
use crate::web::error::Failure;
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::reader::Reader;
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts, words};

/// More deliveries than this of one incident are folded.
const MOST_DELIVERIES: usize = 100;

/// `GET /incidents/{id}`
pub(crate) async fn page(State(web): State<Web>, reader: Reader, Path(id): Path<String>) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let parts = Parts::load(&web, &reader, &id).await?;
    let main = html! {
        (parts.head())
        div.inc-grid { (parts.timeline()) (parts.aside()) }
    };
    let page = Page {
        title: parts.title(),
        above: vec![(links::incidents(), "Incidents".to_owned())],
        live: format!("of=incident&id={}", links::escaped(&id)),
        ..Page::new(parts.name(), Place::Incidents, main)
    };
    Ok(layout::page(&web, &reader, &shell, page))
}

pub(crate) async fn view(web: &Web, reader: &Reader, id: &str) -> Result<View, Failure> {
    let parts = Parts::load(web, reader, id).await?;
    let fragments = vec![
        Fragment::new("i-head", parts.head()),
        Fragment::new("i-timeline", parts.timeline()),
        Fragment::new("i-aside", parts.aside()),
    ];
    Ok(View { title: parts.title(), fragments })
}

struct Parts<'a> {
    reader: &'a Reader,
    incident: Incident,
    transitions: Vec<StoredTransition>,
    deliveries: Vec<Delivery>,
    /// Those of the same monitor that came before.
    before: Vec<Incident>,
    /// `None` if the monitor was deleted since.
    watched: Option<Watched>,
}

/// One line of the story.
struct Fact {
    at: Timestamp,
    /// Of facts at the same moment, which came first.
    order: u8,
    dot: Markup,
    said: Markup,
}

impl<'a> Parts<'a> {
    async fn load(web: &Web, reader: &'a Reader, id: &str) -> Result<Self, Failure> {
        let parsed = id
            .split_once('-')
            .and_then(|(monitor, seq)| Some((monitor.parse::<i64>().ok()?, seq.parse::<u64>().ok()?)));
        let (monitor, seq) = parsed.ok_or(Failure::NotFound)?;
        let store = &web.app().store;
        let (incident, transitions) = store.incident(monitor, seq).await?.ok_or(Failure::NotFound)?;
        let filter = DeliveryFilter { monitor: Some(monitor), ..DeliveryFilter::default() };
        let all = store.deliveries(&filter, watchbell_store::Page::first(500)).await?;
        // What belongs to the incident was sent under its transitions: the opening one, its reminders, the closing one.
        let id = incident.public_id();
        let deliveries = all
            .into_iter()
            .filter(|it| it.message.incident.as_ref().is_some_and(|of| of.id == id))
            .take(MOST_DELIVERIES)
            .collect();
        let before = IncidentFilter { monitor: Some(monitor), to: Some(incident.since), ..IncidentFilter::default() };
        let mut before = store.incidents(&before, watchbell_store::Page::first(4)).await?;
        before.retain(|it| it.seq < incident.seq);
        before.truncate(3);
        let watched = web.app().live.monitors().into_iter().find(|it| it.fixed.id == monitor);
        Ok(Self { reader, incident, transitions, deliveries, before, watched })
    }

    fn name(&self) -> &str {
        self.watched.as_ref().map_or(self.incident.slug.as_str(), |it| it.fixed.title())
    }

    fn is_open(&self) -> bool {
        self.incident.closed.is_none()
    }

    fn title(&self) -> String {
        if self.is_open() { format!("■ {} is down", self.name()) } else { format!("{} was down", self.name()) }
    }

    fn length(&self) -> Duration {
        let end = self.incident.closed.as_ref().map_or(self.reader.now(), |closing| closing.at);
        end.since(self.incident.since)
    }

    fn head(&self) -> Markup {
        let it = &self.incident;
        let calendar = &self.reader.calendar;
        html! {
            div.headline.tight #i-head {
                (parts::glyph(if self.is_open() { "down" } else { "up" }, 28))
                div {
                    h1 { (self.name()) @if self.is_open() { " is down" } @else { " was down" } }
                    p {
                        (it.public_id()) " · "
                        @if let Some(watched) = &self.watched {
                            a.link href=(links::monitor(&watched.fixed.slug)) { "monitor" }
                            @if !group_of(watched).is_empty() { " · " (group_of(watched)) }
                            " · "
                        }
                        "since " (calendar.time(it.since)) ", "
                        b.b.num {
                            @if self.is_open() {
                                (calendar.fine_age(it.since))
                            } @else {
                                (words::fine_length(self.length()))
                            }
                        }
                    }
                }
                @if self.reader.is_editor() && self.is_open() && let Some(watched) = &self.watched {
                    div.end.row.acts {
                        @if watched.acknowledged.is_none() {
                            form.ack method="post" action=(links::monitor_action(&watched.fixed.slug, "acknowledge")) data-post="" {
                                input.inp name="note" maxlength="500" placeholder="Note, if you like" aria-label="Note" autocomplete="off";
                                button.btn.primary data-key="a" { (parts::icon("ack")) "Acknowledge" }
                            }
                        }
                        @if watched.fixed.spec.probe.is_some() {
                            form.inline method="post" action=(links::monitor_action(&watched.fixed.slug, "check")) data-post="" {
                                button.btn data-key="c" { (parts::icon("again")) "Check now" }
                            }
                        }
                    }
                }
            }
        }
    }

    fn timeline(&self) -> Markup {
        let mut facts = self.facts();
        facts.sort_by_key(|fact| std::cmp::Reverse((fact.at, fact.order)));
        html! {
            section.panel #i-timeline aria-labelledby="h-tl" {
                div.panel-h { h2 #h-tl { "Timeline" } span.sub { "newest first" } }
                div.panel-b {
                    ol.tl { @for fact in &facts {
                        li { (self.reader.calendar.time(fact.at)) span.dot { (fact.dot) } div { (fact.said) } }
                    } }
                }
            }
        }
    }

    fn facts(&self) -> Vec<Fact> {
        let it = &self.incident;
        let quiet = || html! { i {} };
        let mut facts = vec![Fact {
            at: it.since,
            order: 0,
            dot: quiet(),
            said: html! { b { "First failure" } p { (it.reason.text) } },
        }];
        let threshold = self
            .watched
            .as_ref()
            .filter(|it| it.fixed.spec.probe.is_some())
            .map(|it| it.fixed.policy.failure_threshold);
        facts.push(Fact {
            at: it.confirmed_at,
            order: 1,
            dot: parts::small_glyph("down"),
            said: html! { b { "Confirmed down" } @if let Some(threshold) = threshold.filter(|it| *it > 1) { p { (threshold) " failures in a row." } } },
        });
        for stored in &self.transitions {
            let change = &stored.transition;
            // Opening and closing are told with the incident itself.
            if change.seq == it.seq || (change.incident.is_some() && change.new != Verdict::Down) {
                continue;
            }
            facts.push(Fact {
                at: change.at,
                order: 2,
                dot: quiet(),
                said: html! { b { (verdict_word(change.new)) } p { (change.reason.text) } },
            });
        }
        if let Some(by) = &it.acknowledged {
            facts.push(Fact {
                at: by.at,
                order: 3,
                dot: parts::icon("ack"),
                said: html! {
                    b { (by.by) " acknowledged" } span.i3 { ", reminders stop" }
                    @if let Some(note) = it.note.as_ref().filter(|note| !note.is_empty()) { p.said { (note) } }
                },
            });
        }
        for delivery in &self.deliveries {
            let (class, word) = deliveries::state(delivery.state);
            let troubled =
                matches!(delivery.state, DeliveryState::Dead | DeliveryState::Pending | DeliveryState::Claimed);
            facts.push(Fact {
                at: delivery.done_at.unwrap_or(delivery.created_at),
                order: 4,
                dot: parts::icon("send"),
                said: html! {
                    b { (event_word(&delivery.event)) " to " (delivery.channel) } " "
                    @if troubled { (parts::state(class, word)) " " }
                    span.i3 { @if !troubled { (word.to_lowercase()) " " } (deliveries::tries(delivery, self.reader)) }
                },
            });
        }
        match &it.closed {
            Some(closing) => facts.push(Fact {
                at: closing.at,
                order: 5,
                dot: parts::small_glyph("up"),
                said: html! { b { "Over after " (words::fine_length(self.length())) } p { (closing.reason.text) } },
            }),
            None => {
                if let Some((watched, last)) =
                    self.watched.as_ref().and_then(|watched| Some((watched, watched.last.as_ref()?)))
                {
                    let checks = watched.state.failing.as_ref().map_or(0, |run| run.count);
                    facts.push(Fact {
                        at: last.at,
                        order: 6,
                        dot: quiet(),
                        said: html! { p { "Still: " (cause(watched)) @if checks > 1 { ", " (checks) " times in a row" } } },
                    });
                }
            }
        }
        facts
    }

    fn aside(&self) -> Markup {
        let it = &self.incident;
        let calendar = &self.reader.calendar;
        html! {
            div.stack #i-aside {
                section.panel aria-labelledby="h-who" {
                    div.panel-h { h2 #h-who { "Who knows" } }
                    ul.list.tight {
                        @match &it.acknowledged {
                            Some(by) => li {
                                (parts::avatar(&by.by, true))
                                div { b { (by.by) } p { "has it, since " (calendar.time(by.at)) } }
                            },
                            None if self.is_open() => li { span.av.sm.none aria-hidden="true" { "?" } div { b.down-t { "Nobody has it" } } },
                            None => li { span.av.sm.wait aria-hidden="true" { "–" } div { b { "Nobody had it" } } },
                        }
                        @for channel in &it.told {
                            li { (parts::icon("alert")) div { b { (channel) } p { (self.arrived(channel.as_str())) } } }
                        }
                        @if it.told.is_empty() { li.i3 { (parts::icon("mute")) div { b { "No channel was told" } } } }
                    }
                }
                @if let Some(note) = self.watched.as_ref().and_then(|it| it.fixed.spec.note.as_ref()) {
                    section.panel aria-labelledby="h-inote" {
                        div.panel-h { h2 #h-inote { "Note" } } div.panel-b { p.said-plain { (note) } }
                    }
                }
                section.panel aria-labelledby="h-before" {
                    div.panel-h { h2 #h-before { "Before" } }
                    div.panel-b {
                        @if self.before.is_empty() { p.i3 { "Nothing like it before." } }
                        dl.facts { @for earlier in &self.before {
                            div {
                                dt {
                                    a.link href=(links::incident(&earlier.public_id())) {
                                        (calendar.day(earlier.since))
                                    }
                                }
                                dd {
                                    (earlier.reason.text)
                                    @if let Some(closing) = &earlier.closed {
                                        span.i3 { ", " (words::length(closing.at.since(earlier.since))) }
                                    }
                                }
                            }
                        } }
                    }
                }
            }
        }
    }

    /// Whether the first message to a channel arrived.
    fn arrived(&self, channel: &str) -> String {
        let first = self.deliveries.iter().rfind(|it| it.channel.as_str() == channel && it.event == "down");
        first.map_or_else(|| "told".to_owned(), |it| deliveries::state(it.state).1.to_lowercase())
    }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Down => "Down",
        Verdict::Up => "Up",
        Verdict::Degraded => "Degraded",
        Verdict::Unknown => "Not known any more",
        Verdict::Pending => "Not watched",
    }
}

fn event_word(event: &str) -> &'static str {
    match event {
        "down" => "Down",
        "up" => "Up again",
        "reminder" => "Reminder",
        "degraded" => "Slow",
        "expiry" => "Certificate",
        "closed" => "No longer watched",
        _ => "Message",
    }
}
