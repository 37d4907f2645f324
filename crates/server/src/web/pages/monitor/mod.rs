//! One monitor: shape, name and target; down for how long and why, since when, who knows, what is next; then the
//! response, what was lost, the evidence, the past, the settings.

mod answer;
mod facts;
mod history;
mod runs;

use std::time::Duration;

use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use watchbell_core::Timestamp;
use watchbell_store::{Bucket, Delivery, DeliveryFilter, Gap, Incident, IncidentFilter, StoredResult};

use super::evidence::{self, Side};
use super::overview::group_of;
use crate::live::{Origin, Shown, Watched};
use crate::web::draw::chart::Window;
use crate::web::error::Failure;
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::past::DAY;
use crate::web::reader::{Reader, Said};
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts, summary};
pub(crate) use runs::{body, download};

/// Results shown one by one.
const RECENT: usize = 20;
/// Results in the small strip beside the answer.
const LAST_CHECKS: usize = 57;
const INCIDENTS: usize = 8;
/// Whoever asks for a check waits for its answer this long; then it appears by itself.
const WAIT_FOR_CHECK: Duration = Duration::from_secs(12);

#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    window: String,
}

/// `GET /monitors/{slug}`
pub(crate) async fn page(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let parts = Parts::load(&web, &reader, &slug, &asked.window).await?;
    let all = parts.all();
    let main = html! {
        (all.head) (all.answer) (all.chart)
        @if parts.is_heartbeat() {
            (all.runs)
            @if let Some(snippets) = parts.snippets(&web) { (snippets) }
            (all.days)
            div.cols-2.mt { (all.incidents) (all.settings) }
            div.mt { (all.certificate) }
        } @else {
            div.cols-2.mt { (all.evidence) (all.phases) }
            (all.days)
            div.cols-2.mt { (all.incidents) (all.results) }
            div.cols-2.mt { (all.certificate) (all.settings) }
        }
    };
    let group = group_of(&parts.watched);
    let mut above = vec![(links::overview(), "Overview".to_owned())];
    if !group.is_empty() {
        above.push((links::filtered(&format!("group:{}", parts::quoted(group))), group.to_owned()));
    }
    let name = parts.watched.fixed.title();
    let page = Page {
        title: parts.title(),
        above,
        live: format!("of=monitor&slug={slug}&window={}", parts.window.name()),
        scripts: &["chart.js"],
        aside: neighbours(&monitors, &parts.watched),
        ..Page::new(name, Place::Overview, main)
    };
    Ok(layout::page(&web, &reader, &shell, page))
}

/// The same, in parts, for the event stream.
pub(crate) async fn view(web: &Web, reader: &Reader, slug: &str, window: &str) -> Result<View, Failure> {
    let parts = Parts::load(web, reader, slug, window).await?;
    let all = parts.all();
    let fragments = vec![
        Fragment::new("m-head", all.head),
        Fragment::new("m-answer", all.answer),
        Fragment::new("m-chart", all.chart),
        Fragment::new("m-evidence", all.evidence),
        Fragment::new("m-phases", all.phases),
        Fragment::new("m-days", all.days),
        Fragment::new("m-incidents", all.incidents),
        Fragment::new("m-results", all.results),
        Fragment::new("m-runs", all.runs),
        Fragment::new("m-certificate", all.certificate),
        Fragment::new("m-settings", all.settings),
    ];
    Ok(View { title: parts.title(), fragments })
}

/// `POST /monitors/{slug}/check`
pub(crate) async fn check(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    let asking = web.app().engine.check_now(watched.fixed.slug.clone());
    let said = match tokio::time::timeout(WAIT_FOR_CHECK, asking).await {
        Ok(answer) => {
            answer?;
            Said::Checked
        }
        Err(_) => Said::StillAsking,
    };
    Ok(reader.done(&links::monitor(&slug), said))
}

/// `POST /monitors/{slug}/pause`
pub(crate) async fn pause(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    web.app().engine.pause(watched.fixed.slug.clone()).await?;
    web.note(&reader.caller, "paused", &format!("monitor {slug}")).await;
    Ok(reader.done(&links::monitor(&slug), Said::Paused))
}

/// `POST /monitors/{slug}/resume`
pub(crate) async fn resume(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    web.app().engine.resume(watched.fixed.slug.clone()).await?;
    web.note(&reader.caller, "resumed", &format!("monitor {slug}")).await;
    Ok(reader.done(&links::monitor(&slug), Said::Resumed))
}

#[derive(serde::Deserialize)]
pub(crate) struct Taken {
    #[serde(default)]
    note: String,
}

/// A note is read at a glance.
const LONGEST_NOTE: usize = 500;

/// `POST /monitors/{slug}/acknowledge`
pub(crate) async fn acknowledge(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
    Form(taken): Form<Taken>,
) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    let note: String = taken.note.trim().chars().take(LONGEST_NOTE).collect();
    web.app().engine.acknowledge(watched.fixed.slug.clone(), reader.caller.name().to_owned(), note).await?;
    Ok(reader.done(&links::monitor(&slug), Said::Acknowledged))
}

pub(in crate::web::pages) fn find(web: &Web, slug: &str) -> Result<Watched, Failure> {
    web.app().live.get(slug).ok_or(Failure::NotFound)
}

/// To the problem before and after this one, for who walks through them.
fn neighbours(monitors: &[Watched], watched: &Watched) -> Markup {
    let problems = summary::problems(monitors);
    let Some(here) = problems.iter().position(|it| it.fixed.id == watched.fixed.id) else { return Markup::default() };
    let link = |to: Option<&&Watched>, icon: &str, word: &str, key: &str| {
        html! {
            @if let Some(to) = to {
                a.btn.ghost.sm.icon href=(links::monitor(&to.fixed.slug)) aria-label=(word) title={ (word) "  " (key) } data-key=(key) {
                    (parts::icon(icon))
                }
            }
        }
    };
    html! {
        span.row.hide-m {
            (link(here.checked_sub(1).and_then(|place| problems.get(place)), "up", "Previous problem", "["))
            (link(problems.get(here + 1), "down", "Next problem", "]"))
        }
    }
}

/// What the page is made of.
struct Parts<'a> {
    reader: &'a Reader,
    watched: Watched,
    window: Window,
    buckets: Vec<Bucket>,
    gaps: Vec<Gap>,
    results: Vec<StoredResult>,
    incidents: Vec<Incident>,
    /// What was sent about the open incident.
    deliveries: Vec<Delivery>,
    /// The last failure and the last success, also from before the last start.
    failed: Option<Side>,
    worked: Option<Side>,
    /// Of a heartbeat.
    log: runs::Log,
    /// The history could not be read.
    history_missing: bool,
}

/// Every part, ready.
struct All {
    head: Markup,
    answer: Markup,
    chart: Markup,
    evidence: Markup,
    phases: Markup,
    days: Markup,
    incidents: Markup,
    results: Markup,
    runs: Markup,
    certificate: Markup,
    settings: Markup,
}

impl<'a> Parts<'a> {
    async fn load(web: &Web, reader: &'a Reader, slug: &str, window: &str) -> Result<Self, Failure> {
        let watched = find(web, slug)?;
        let window = Window::named(window, reader.now().since(watched.fixed.created_at));
        let (store, id, now) = (&web.app().store, watched.fixed.id, reader.now());
        let of_incident = watched.state.incident.as_ref().map(|incident| DeliveryFilter {
            monitor: Some(id),
            incident: Some(incident.seq),
            ..DeliveryFilter::default()
        });
        let told = async {
            match &of_incident {
                Some(filter) => store.deliveries(filter, watchbell_store::Page::first(50)).await,
                None => Ok(Vec::new()),
            }
        };
        let filter = IncidentFilter { monitor: Some(id), ..IncidentFilter::default() };
        let (buckets, gaps, results, incidents, deliveries) = tokio::join!(
            store.chart(id, now - window.length(), now, window.buckets()),
            store.gaps(Some(id), now - DAY * 90, now),
            store.results(id, now - DAY * 90, now + Duration::from_secs(1), LAST_CHECKS, true),
            store.incidents(&filter, watchbell_store::Page::first(INCIDENTS)),
            told,
        );
        let (mut failed, mut worked) =
            (watched.last_fail.as_deref().map(Side::from), watched.last_ok.as_deref().map(Side::from));
        if failed.is_none() || worked.is_none() {
            // Newest first. What was kept is still worth showing while the store can be asked.
            for kept in store.evidence(id, 50).await.unwrap_or_default() {
                let side = if kept.kind == "failure" { &mut failed } else { &mut worked };
                if side.is_none() {
                    *side = Some(kept.into());
                }
            }
        }
        let log = runs::Log::load(web, &watched).await;
        let history_missing = buckets.is_err() || results.is_err() || incidents.is_err();
        Ok(Self {
            reader,
            watched,
            window,
            buckets: buckets.unwrap_or_default(),
            gaps: gaps.unwrap_or_default(),
            results: results.unwrap_or_default(),
            incidents: incidents.unwrap_or_default(),
            deliveries: deliveries.unwrap_or_default(),
            failed,
            worked,
            log,
            history_missing,
        })
    }

    fn all(&self) -> All {
        All {
            head: self.head(),
            answer: self.answer(),
            chart: self.chart(),
            evidence: self.evidence(),
            phases: self.phases(),
            days: self.days(),
            incidents: self.incidents(),
            results: self.results(),
            runs: if self.is_heartbeat() { self.runs() } else { Markup::default() },
            certificate: self.certificate(),
            settings: self.settings(),
        }
    }

    fn title(&self) -> String {
        let name = self.watched.fixed.title();
        match self.watched.shown() {
            Shown::Down => format!("■ {name} is down"),
            Shown::Degraded => format!("▲ {name} is slow"),
            Shown::Unknown => format!("○ {name} is unknown"),
            _ => name.to_owned(),
        }
    }

    fn is_heartbeat(&self) -> bool {
        self.watched.fixed.spec.heartbeat.is_some()
    }

    fn now(&self) -> Timestamp {
        self.reader.now()
    }

    fn head(&self) -> Markup {
        let (watched, shown) = (&self.watched, self.watched.shown());
        let target = watched.fixed.spec.target();
        let is_link = target.starts_with("http://") || target.starts_with("https://");
        html! {
            div.headline.tight #m-head {
                (parts::glyph(shown.class(), 40))
                div {
                    h1 { (watched.fixed.title()) span.sr { ", " (shown.word()) } }
                    p {
                        @if is_link {
                            a.quiet.mono href=(target) rel="noreferrer noopener" { (target) }
                        } @else {
                            span.mono { (target) }
                        }
                        @if !watched.fixed.spec.tags.is_empty() {
                            " " span.tags { @for tag in &watched.fixed.spec.tags { (parts::tag(tag)) } }
                        }
                    }
                }
                @if self.reader.is_editor() { div.end.row.acts { (self.actions()) } }
            }
        }
    }

    fn actions(&self) -> Markup {
        let (slug, fixed) = (&self.watched.fixed.slug, &self.watched.fixed);
        let action = |name: &str| links::monitor_action(slug, name);
        html! {
            @if !self.is_heartbeat() {
                form.inline method="post" action=(action("check")) data-post="" {
                    button.btn.primary data-key="c" { (parts::icon("again")) "Check now" }
                }
            }
            @if self.watched.state.paused {
                form.inline method="post" action=(action("resume")) data-post="" {
                    button.btn.primary[self.is_heartbeat()] data-key="p" { (parts::icon("right")) "Resume" }
                }
            } @else {
                form.inline method="post" action=(action("pause")) data-post="" {
                    button.btn data-key="p" { (parts::icon("pause")) "Pause" }
                }
            }
            a.btn href=(action("edit")) data-key="e" {
                (parts::icon("edit")) @if fixed.origin == Origin::File { "Settings" } @else { "Edit" }
            }
            details.drop {
                summary.btn.icon aria-label="More" title="More" { (parts::icon("more")) }
                div.menu {
                    a href=(action("duplicate")) { (parts::icon("copy")) "Duplicate" }
                    @if fixed.origin == Origin::Console {
                        a.danger href=(action("delete")) { (parts::icon("bin")) "Delete…" }
                    }
                    @else { p.hint { "To delete it, take it out of the configuration file." } }
                }
            }
        }
    }

    fn evidence(&self) -> Markup {
        html! { section.panel #m-evidence aria-labelledby="h-ev" { (evidence::compared(self.failed.as_ref(), self.worked.as_ref(), &self.reader.calendar)) } }
    }
}
