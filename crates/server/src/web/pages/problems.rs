//! What is configured and cannot be used: what is not watched or told because of it, where it stands, what would work.

use axum::extract::State;
use maud::{Markup, PreEscaped, html};

use crate::web::error::Failure;
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::reader::Reader;
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts};

/// `GET /problems`
pub(crate) async fn page(State(web): State<Web>, reader: Reader) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let main = html! {
        div.headline.tight.plain {
            div { h1 { "Problems" } p { "What is configured and cannot be used. Everything else goes on." } }
        }
        (PreEscaped(list(&web, &reader).html))
    };
    let above = vec![(links::overview(), "Overview".to_owned())];
    let page = Page { above, live: "of=problems".into(), ..Page::new("Problems", Place::Overview, main) };
    Ok(layout::page(&web, &reader, &shell, page))
}

pub(crate) fn view(web: &Web, reader: &Reader) -> View {
    View { title: "Problems".into(), fragments: vec![list(web, reader)] }
}

fn list(web: &Web, reader: &Reader) -> Fragment {
    let problems = web.app().problems.all();
    Fragment::new(
        "list",
        html! {
            div #list {
                @if problems.is_empty() {
                    section.panel {
                        (parts::empty("Every line is understood", "If something of the configuration cannot be used, it is listed here until it can.", &Markup::default()))
                    }
                } @else {
                    section.panel {
                        ul.list { @for problem in &problems {
                            li {
                                (parts::glyph("degraded", 20))
                                div {
                                    b { (problem.consequence) }
                                    p { (parts::prose(&problem.sentence)) }
                                    p.sub {
                                        span.mono { (problem.place) }
                                        @if let Some(about) = &problem.about {
                                            @if web.app().live.get(about.as_str()).is_some() {
                                                " · "
                                                a.link href=(links::monitor(about)) { (about) }
                                                " keeps its last good settings"
                                            }
                                        }
                                    }
                                }
                                span.sub { "since " (reader.calendar.time(problem.since)) }
                            }
                        } }
                    }
                }
            }
        },
    )
}
