//! What runs here: version, database, what is kept and for how long.

use axum::extract::State;
use maud::{Markup, html};
use std::sync::atomic::Ordering;

use super::profile::tabs;
use crate::web::error::Failure;
use crate::web::layout::{Page, Place, framed};
use crate::web::reader::Reader;
use crate::web::{Web, links, words};

/// `GET /settings/about`
pub(crate) async fn page(State(web): State<Web>, reader: Reader) -> Result<Markup, Failure> {
    let app = web.app();
    let stats = app.store.stats().await?;
    let settings = app.settings.load();
    let calendar = &reader.calendar;
    let own = &app.own;
    let (_, total, sum) = own.lateness();
    let late = if total == 0 { 0.0 } else { sum * 1000.0 / total as f64 };
    let main = html! {
        div.headline.tight.plain { div { h1 { "About" } p { "What runs here." } } }
        (tabs(&reader, "about"))
        div.cols-2 {
            section.panel aria-labelledby="h-run" {
                div.panel-h { h2 #h-run { "Watchbell" } }
                div.panel-b { dl.facts {
                    div { dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) } }
                    div {
                        dt { "Runs since" } dd { (calendar.time(app.started_at)) ", " (calendar.age(app.started_at)) }
                    }
                    div { dt { "Reached at" } dd.mono { (settings.base_url) } }
                    div {
                        dt { "Checks" }
                        dd {
                            (words::count(own.checks.load(Ordering::Relaxed))) " since then, late by "
                            (format!("{late:.0}"))
                            "\u{a0}ms on average"
                        }
                    }
                    div {
                        dt { "Left out" }
                        dd {
                            (words::counted(usize::try_from(own.missed.load(Ordering::Relaxed)).unwrap_or(usize::MAX), "check", "checks"))
                        }
                    }
                    div {
                        dt { "Problems" }
                        dd {
                            a.link href=(links::problems()) {
                                (words::counted(app.problems.all().len(), "problem", "problems"))
                            }
                        }
                    }
                    div { dt { "Licence" } dd { "MIT or Apache-2.0" } }
                } }
            }
            section.panel aria-labelledby="h-data" {
                div.panel-h { h2 #h-data { "Data" } }
                div.panel-b { dl.facts {
                    div {
                        dt { "Database" } dd { (format!("{:?}", app.store.engine())) ", " (words::bytes(stats.bytes)) }
                    }
                    div {
                        dt { "Results" }
                        dd {
                            "kept for " (words::setting(settings.retention.results.0))
                            @if let Some(oldest) = stats.oldest_result {
                                ", the oldest of " (calendar.day_time(oldest))
                            }
                        }
                    }
                    div { dt { "Incidents" } dd { (words::count(stats.incidents)) ", kept for ever" } }
                    div { dt { "Deliveries" } dd { (words::count(stats.deliveries)) } }
                    div { dt { "Backup" } dd { code.mono { "watchbell backup FILE" } } }
                    div { dt { "Cluster" } dd.mono { (app.store.cluster_id()) } }
                } }
            }
        }
    };
    framed(&web, &reader, Page { class: "narrow", ..Page::new("About", Place::Settings, main) }).await
}
