//! The runs of a heartbeat: how long each took, which are missing, what each said, and when the next are expected.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use watchbell_core::{Timestamp, Verdict, decide};
use watchbell_store::{Page, PingBody, PingKind, StoredPing};

use super::{Parts, find};
use crate::live::Watched;
use crate::web::api::{Ping, as_text};
use crate::web::draw::runs::{Outcome, Run, Runs, usual};
use crate::web::error::Failure;
use crate::web::{Web, links, parts, words};

/// Pings that the chart and the table are made of.
pub(super) const PINGS: usize = 200;
/// Shown one by one.
const ROWS: usize = 30;
/// Bodies that are shown on the page itself.
const BODIES: usize = 12;
/// Of each body shown on the page; the rest is behind its link.
const LONGEST_SHOWN: usize = 4000;
/// Moments to come that are written out.
const AHEAD: usize = 5;

/// What of the run log is shown.
#[derive(Default)]
pub(super) struct Log {
    /// Newest first.
    pings: Vec<StoredPing>,
    bodies: Vec<(u64, PingBody)>,
}

impl Log {
    pub(super) async fn load(web: &Web, watched: &Watched) -> Self {
        if watched.fixed.spec.heartbeat.is_none() {
            return Self::default();
        }
        let (store, id) = (&web.app().store, watched.fixed.id);
        let pings = store.pings(id, Timestamp::EPOCH, Timestamp::NEVER, Page::first(PINGS)).await.unwrap_or_default();
        let mut bodies = Vec::new();
        for ping in pings.iter().take(ROWS).filter(|ping| ping.size > 0).take(BODIES) {
            if let Ok(Some(body)) = store.ping_body(id, ping.n).await {
                bodies.push((ping.n, body));
            }
        }
        Self { pings, bodies }
    }
}

impl Parts<'_> {
    /// Chart, next moments and log; one panel each.
    pub(super) fn runs(&self) -> Markup {
        let runs = self.all_runs();
        let from = runs.first().map_or(self.now() - Duration::from_secs(3600), |run| run.at);
        let chart = Runs { runs: &runs, from, to: self.now(), calendar: &self.reader.calendar };
        html! {
            div #m-runs data-hold="" {
                section.panel.mt aria-labelledby="h-runs" {
                    div.panel-h {
                        h2 #h-runs { "Runs" }
                        @if let Some(usual) = usual(&runs) { span.sub { "usually " (words::fine_length(usual)) } }
                        span.end.legend.hide-s {
                            span { svg aria-hidden="true" { circle.run-key cx="8" cy="5" r="3" {} } "Done" }
                            span { svg aria-hidden="true" { circle.run-key.failed cx="8" cy="5" r="3" {} } "Failed" }
                            span { svg aria-hidden="true" { line.run-key.missed x1="8" x2="8" y1="0" y2="10" {} } "Missing" }
                        }
                    }
                    div.panel-b.chart-pad { (chart.draw()) }
                    @let ahead = self.ahead();
                    @if !ahead.is_empty() {
                        div.panel-f {
                            span { "Expected next" }
                            @for at in &ahead { span.num { (self.reader.calendar.time(*at)) } }
                            @if let Some(name) = self.reader.calendar.zone.iana_name() { span.i3 { "in " (name) } }
                        }
                    }
                }
                (self.log())
            }
        }
    }

    fn log(&self) -> Markup {
        let slug = &self.watched.fixed.slug;
        html! {
            section.panel.mt aria-labelledby="h-log" {
                div.panel-h {
                    h2 #h-log { "Run log" }
                    span.end {
                        a.btn.ghost.sm href=(links::monitor_action(slug, "pings.ndjson")) download={ (slug) ".ndjson" } {
                            (parts::icon("save")) "Download"
                        }
                    }
                }
                @if self.log.pings.is_empty() {
                    div.panel-b { p.i3 { "Nothing has called yet. Until it does, it is not judged." } }
                } @else {
                    table.tbl.dense {
                        caption.sr { "Calls, newest first" }
                        thead { tr {
                            th scope="col" { "Time" }
                            th scope="col" { "Call" }
                            th.r scope="col" { "Ran" }
                            th.r.hide-s scope="col" { "Exit" }
                            th scope="col" { "Said" }
                            th.hide-m scope="col" { "From" }
                        } }
                        tbody { @for ping in self.log.pings.iter().take(ROWS) { (self.row(ping)) } }
                    }
                }
            }
        }
    }

    fn row(&self, ping: &StoredPing) -> Markup {
        let (class, word) = kind_words(ping.kind);
        let body = self.log.bodies.iter().find(|(n, _)| *n == ping.n).map(|(_, body)| body);
        let whole = links::monitor_action(&self.watched.fixed.slug, &format!("pings/{}", ping.n));
        html! {
            tr {
                td.num { (self.reader.calendar.time(ping.at)) }
                td { (parts::state(class, word)) }
                td.r.num { @match ping.took { Some(took) => (words::latency(took)), None => span.i3 { "–" } } }
                td.r.num.hide-s { @match ping.exit_status { Some(status) => (status), None => span.i3 { "–" } } }
                td.mono {
                    @match body {
                        Some(body) => {
                            details {
                                summary { (ping.last_line) }
                                pre.code.wrap { (shown(body)) }
                                p.hint { (words::bytes(ping.size)) " in all. " a.link href=(whole) { "As text" } }
                            }
                        },
                        None if ping.size > 0 => { a.link href=(whole) { @if ping.last_line.is_empty() { (words::bytes(ping.size)) } @else { (ping.last_line) } } },
                        None => { (ping.last_line) },
                    }
                }
                td.i3.hide-m title=(ping.agent) {
                    span.mono { (ping.address) } " " (ping.method)
                    @if !ping.agent.is_empty() { " · " (ping.agent.chars().take(24).collect::<String>()) }
                }
            }
        }
    }

    /// Finished runs and those that did not come, oldest first.
    fn all_runs(&self) -> Vec<Run> {
        let finished = self.log.pings.iter().filter_map(|ping| {
            let outcome = match ping.kind {
                PingKind::Success => Outcome::Good,
                PingKind::Fail => Outcome::Failed,
                PingKind::Start | PingKind::Log => return None,
            };
            Some(Run { at: ping.at, took: ping.took, outcome })
        });
        let oldest = self.log.pings.last().map_or(Timestamp::NEVER, |ping| ping.at);
        let grace = self.watched.fixed.policy.heartbeat.as_ref().map_or(Duration::ZERO, |it| it.grace);
        let missed = self.watched.history.iter().filter_map(|moved| {
            let is_missing = moved.new == Verdict::Down && matches!(&*moved.reason.code, "silent" | "overrun");
            let at = if moved.reason.code == "silent" { moved.since - grace } else { moved.since };
            (is_missing && at >= oldest).then_some(Run { at, took: None, outcome: Outcome::Missed })
        });
        let mut runs: Vec<Run> = finished.chain(missed).collect();
        runs.sort_by_key(|run| run.at);
        runs
    }

    /// When the next calls are expected. What comes at an interval is expected once: each call moves the next.
    fn ahead(&self) -> Vec<Timestamp> {
        let (policy, state) = (&self.watched.fixed.policy, &self.watched.state);
        let Some(expectation) = policy.heartbeat.as_ref().filter(|_| !state.paused) else { return Vec::new() };
        if !expectation.schedule.is_by_the_wall() {
            return decide::next_expected(policy, state).into_iter().collect();
        }
        let first = expectation.schedule.after(self.now());
        std::iter::successors(Some(first), |at| Some(expectation.schedule.after(*at)))
            .take_while(|at| *at < Timestamp::NEVER)
            .take(AHEAD)
            .collect()
    }
}

/// The class and the word of one call.
const fn kind_words(kind: PingKind) -> (&'static str, &'static str) {
    match kind {
        PingKind::Success => ("up", "Success"),
        PingKind::Fail => ("down", "Failure"),
        PingKind::Start => ("pending", "Start"),
        PingKind::Log => ("paused", "Note"),
    }
}

fn shown(body: &PingBody) -> String {
    let head = String::from_utf8_lossy(&body.head);
    let mut text: String = head.chars().take(LONGEST_SHOWN).collect();
    if body.left_out() > 0 {
        text.push_str(&format!("\n[… {} bytes left out …]\n", body.left_out()));
    }
    let tail: String = String::from_utf8_lossy(&body.tail).chars().rev().take(LONGEST_SHOWN).collect();
    text.extend(tail.chars().rev());
    text
}

/// `GET /monitors/{slug}/pings/{n}`
pub(crate) async fn body(State(web): State<Web>, Path((slug, n)): Path<(String, u64)>) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    let body = web.app().store.ping_body(watched.fixed.id, n).await?.ok_or(Failure::NotFound)?;
    Ok(as_text(&body))
}

/// `GET /monitors/{slug}/pings.ndjson`: one JSON object a line, newest first, with the body as text.
pub(crate) async fn download(State(web): State<Web>, Path(slug): Path<String>) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    let (store, id) = (web.app().store.clone(), watched.fixed.id);
    let lines = futures_util::stream::try_unfold(Some(None), move |before: Option<Option<i64>>| {
        let store = store.clone();
        async move {
            let Some(before) = before else { return Ok(None) };
            let page = Page { before, limit: 100 };
            let pings = store.pings(id, Timestamp::EPOCH, Timestamp::NEVER, page).await?;
            let mut text = String::new();
            for ping in &pings {
                let mut line = serde_json::to_value(Ping::from(ping)).unwrap_or_default();
                if ping.size > 0
                    && let Some(body) = store.ping_body(id, ping.n).await?
                {
                    line["body"] = String::from_utf8_lossy(&body.head).into();
                    if body.left_out() > 0 {
                        line["left_out"] = body.left_out().into();
                        line["end"] = String::from_utf8_lossy(&body.tail).into();
                    }
                }
                text.push_str(&line.to_string());
                text.push('\n');
            }
            let next = pings.last().filter(|_| pings.len() == page.limit).and_then(|last| i64::try_from(last.n).ok());
            Ok::<_, watchbell_store::StoreError>(Some((text, next.map(Some))))
        }
    });
    let name = format!("attachment; filename=\"{slug}.ndjson\"");
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(lines)).into_response())
}
