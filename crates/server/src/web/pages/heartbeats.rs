//! Every job that calls in: what is overdue first, then in the order in which the next calls are due.

use axum::extract::State;
use maud::{Markup, PreEscaped, html};
use watchbell_core::{Timestamp, Verdict, decide};

use crate::live::{Shown, Watched};
use crate::web::draw::strip::{Pitch, strip};
use crate::web::error::Failure;
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::reader::Reader;
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts, past, words};

/// More are found by the filter of the overview.
const ROWS: usize = 500;

/// `GET /heartbeats`
pub(crate) async fn page(State(web): State<Web>, reader: Reader) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let main = html! { (PreEscaped(list(monitors, &reader).html)) };
    let page = Page { live: "of=heartbeats".into(), ..Page::new("Heartbeats", Place::Heartbeats, main) };
    Ok(layout::page(&web, &reader, &shell, page))
}

pub(crate) fn view(web: &Web, reader: &Reader) -> View {
    View { title: "Heartbeats".into(), fragments: vec![list(web.app().live.monitors(), reader)] }
}

fn list(monitors: Vec<Watched>, reader: &Reader) -> Fragment {
    let mut jobs: Vec<Watched> = monitors.into_iter().filter(|it| it.fixed.spec.heartbeat.is_some()).collect();
    jobs.sort_by_cached_key(|it| (it.shown(), due(it).unwrap_or(Timestamp::NEVER), it.fixed.slug.clone()));
    let overdue = jobs.iter().filter(|it| it.shown() == Shown::Down).count();
    let waiting = jobs.iter().filter(|it| it.shown() == Shown::Pending).count();
    let add = html! { a.btn.primary href={ (links::new_monitor()) "?kind=heartbeat" } { (parts::icon("plus")) "Add heartbeat" } };
    Fragment::new(
        "heartbeats",
        html! {
            div #heartbeats {
                div.headline.tight.plain {
                    div {
                        h1 { "Heartbeats" }
                        p {
                            (words::counted(jobs.len(), "job reports here.", "jobs report here."))
                            @if overdue > 0 { " " (overdue) " overdue or failed." }
                            @if waiting > 0 { " " (waiting) " not heard yet." }
                        }
                    }
                    @if reader.is_editor() { div.end.row { (add) } }
                }
                @if jobs.is_empty() {
                    section.panel {
                        (parts::empty(
                            "No job calls in yet",
                            "A heartbeat turns things round: your job calls an address when it is done, and silence is the failure. It finds the backup that has not run for weeks.",
                            &(if reader.is_editor() { add } else { Markup::default() }),
                        ))
                    }
                } @else {
                    div.tbl-wrap { table.tbl.duo {
                        caption.sr { "Heartbeats, problems first" }
                        colgroup { col.c-state; col; col.hide-s; col; col.hide-m; col.hide-m; }
                        thead { tr {
                            th scope="col" { span.w { "State" } }
                            th scope="col" { "Job" }
                            th.hide-s scope="col" { "Expected" }
                            th.r-s scope="col" { "Last call" }
                            th.hide-m scope="col" { "Next" }
                            th.hide-m scope="col" { "24 hours" }
                        } }
                        tbody { @for job in jobs.iter().take(ROWS) { (row(job, reader)) } }
                    } }
                    @if jobs.len() > ROWS {
                        p.hint { "The first " (ROWS) " are shown. " a.link href=(links::filtered("kind:heartbeat")) { "Find others" } }
                    }
                }
            }
        },
    )
}

fn row(job: &Watched, reader: &Reader) -> Markup {
    let (shown, calendar) = (job.shown(), &reader.calendar);
    let policy = &job.fixed.policy;
    let heard = job.state.heard.as_ref();
    let cells: Vec<Verdict> = past::strip(job, &[], reader.now()).iter().map(|cell| cell.verdict).collect();
    let snoozed =
        heard.and_then(|heard| heard.snoozed).map(|snooze| snooze.until).filter(|until| *until > reader.now());
    let word = match shown {
        Shown::Down if job.state.incident.as_ref().is_some_and(|it| it.reason.code == "silent") => "Overdue",
        Shown::Pending => "New",
        other => other.word(),
    };
    html! {
        tr class={ "is-" (shown.class()) } {
            td { span class={ "st " (shown.class()) } { (parts::glyph(shown.class(), 16)) span.w { (word) } } }
            td {
                a.nm.quiet href=(links::monitor(&job.fixed.slug)) { (job.fixed.title()) }
                small.sub-s {
                    @if let Some(incident) = &job.state.incident { (incident.reason.text) }
                    @else if let Some(until) = snoozed { "Quiet until " (calendar.moment(until)) }
                    @else { (job.fixed.spec.target()) }
                }
            }
            td.hide-s {
                (job.fixed.spec.target())
                @if let Some(expectation) = &policy.heartbeat { " " span.i3 { "+ " (words::setting(expectation.grace)) } }
            }
            td.r-s.num {
                @match heard.and_then(|heard| heard.finished) { Some(at) => (calendar.age(at)), None => span.i3 { "never" } }
                @if heard.is_some_and(|heard| !heard.runs.is_empty()) { " " span.i3 { "running" } }
            }
            td.hide-m.num { @match due(job) { Some(at) => (calendar.time(at)), None => span.i3 { "–" } } }
            td.hide-m { (strip(&cells, Pitch::Table, &format!("The last 24 hours of {}", job.fixed.title()))) }
        }
    }
}

/// When its next call is expected.
fn due(job: &Watched) -> Option<Timestamp> {
    if job.state.paused { None } else { decide::next_expected(&job.fixed.policy, &job.state) }
}
