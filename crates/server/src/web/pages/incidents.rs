//! Incidents: open ones first, unowned before owned, then what is over, by day.

use axum::extract::{Query, State};
use maud::{Markup, PreEscaped, html};
use watchbell_store::{Incident, IncidentFilter};

use crate::live::Watched;
use crate::web::error::Failure;
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::reader::Reader;
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts, words};

const ROWS: usize = 50;

#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(crate) struct Asked {
    /// `open`, `closed`, or the short name of a monitor; all if empty.
    #[serde(default)]
    show: String,
    #[serde(default)]
    before: String,
}

/// `GET /incidents`
pub(crate) async fn page(
    State(web): State<Web>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let list = list(&web, &reader, &asked.show, asked.before.parse().ok()).await?;
    let of = web.app().live.get(&asked.show);
    let main = html! {
        div.headline.tight.plain {
            div {
                h1 { "Incidents" }
                p {
                    @match &of { Some(it) => { "Of " a.link href=(links::monitor(&it.fixed.slug)) { (it.fixed.title()) } "." }, None => "From confirmed down to confirmed up." }
                }
            }
        }
        div.row.mb8 {
            span.seg role="group" aria-label="Which" {
                @for (name, word) in [("", "All"), ("open", "Open"), ("closed", "Closed")] {
                    a href={ (links::incidents()) @if !name.is_empty() { "?show=" (name) } } aria-current=[(name == asked.show).then_some("true")] {
                        (word) @if name == "open" && shell.open > 0 { " " (shell.open) }
                    }
                }
                @if let Some(it) = &of { a href="" aria-current="true" { (it.fixed.title()) } }
            }
        }
        (PreEscaped(list.html))
    };
    let live = if asked.before.is_empty() {
        format!("of=incidents&show={}", links::escaped(&asked.show))
    } else {
        String::new()
    };
    Ok(layout::page(&web, &reader, &shell, Page { live, ..Page::new("Incidents", Place::Incidents, main) }))
}

pub(crate) async fn view(web: &Web, reader: &Reader, show: &str) -> Result<View, Failure> {
    Ok(View { title: "Incidents".into(), fragments: vec![list(web, reader, show, None).await?] })
}

async fn list(web: &Web, reader: &Reader, show: &str, before: Option<i64>) -> Result<Fragment, Failure> {
    let of = web.app().live.get(show);
    let filter = IncidentFilter {
        monitor: of.as_ref().map(|it| it.fixed.id),
        open: match show {
            "open" => Some(true),
            "closed" => Some(false),
            _ => None,
        },
        ..IncidentFilter::default()
    };
    let mut found = web.app().store.incidents(&filter, watchbell_store::Page { before, limit: ROWS + 1 }).await?;
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    let older = found.last().filter(|_| more).map(|last| last.id);
    // Open ones stand first whenever they began, and those that nobody has before the others.
    found.sort_by_key(|it| {
        (it.closed.is_some(), it.closed.is_none() && it.acknowledged.is_some(), std::cmp::Reverse(it.since))
    });
    let monitors = web.app().live.monitors();
    let watched = |it: &Incident| monitors.iter().find(|watched| watched.fixed.id == it.monitor);
    Ok(Fragment::new(
        "incidents",
        html! {
            div #incidents {
                @if found.is_empty() {
                    section.panel { (parts::empty("No incident", match show {
                        "open" => "Nothing is down.",
                        _ => "When something is confirmed down, it appears here with everything that happened.",
                    }, &Markup::default())) }
                } @else {
                    div.tbl-wrap {
                        table.tbl.duo {
                            caption.sr { "Incidents, open ones first, then newest first" }
                            colgroup {
                                col.c-state; col.c-mon; col.hide-s; col.c-when.hide-s; col.c-dur; col.c-by.hide-s;
                            }
                            thead { tr {
                                th scope="col" { span.w { "State" } }
                                th scope="col" { "Monitor" }
                                th.hide-s scope="col" { "Cause" }
                                th.hide-s scope="col" { "Began" }
                                th.r scope="col" { "Lasted" }
                                th.hide-s scope="col" { "Had by" }
                            } }
                            tbody { @for it in &found { (row(it, watched(it), reader)) } }
                        }
                    }
                }
                @if older.is_some() || before.is_some() {
                    nav.range aria-label="Pages" {
                        @if before.is_some() { a.btn.sm href={ (links::incidents()) "?show=" (show) } { "Newest" } }
                        @if let Some(older) = older {
                            a.btn.sm href={ (links::incidents()) "?show=" (show) "&before=" (older) } rel="next" {
                                "Older"
                            }
                        }
                    }
                }
            }
        },
    ))
}

fn row(it: &Incident, watched: Option<&Watched>, reader: &Reader) -> Markup {
    let open = it.closed.is_none();
    let name = watched.map_or(it.slug.as_str(), |watched| watched.fixed.title());
    html! {
        tr.is-down[open] {
            td { @if open { (parts::state("down", "Open")) } @else { (parts::state("up", "Over")) } }
            td {
                a.nm.quiet href=(links::incident(&it.public_id())) { (name) }
                small.sub-s.down-t[open] { (it.reason.text) }
            }
            td.hide-s { span.down-t[open] { (it.reason.text) } }
            td.num.hide-s { (reader.calendar.time(it.since)) }
            td.r.num {
                @match &it.closed { None => (reader.calendar.age(it.since)), Some(closing) => (words::length(closing.at.since(it.since))) }
            }
            td.hide-s {
                @match &it.acknowledged {
                    Some(by) => (by.by),
                    None if open => span.down-t { "nobody" },
                    None => span.i3 { "nobody" },
                }
            }
        }
    }
}
