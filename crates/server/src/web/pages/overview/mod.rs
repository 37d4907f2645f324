//! The overview: the three answers, then the way in. Cards up to sixty monitors, a table beyond, the fleet map from
//! five hundred on. The first answer holds fifty rows; counts are always of all.

mod list;
mod problem;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Query, State};
use maud::{Markup, PreEscaped, html};
use watchbell_store::{Bucket, Gap, IncidentFilter};

use crate::live::{Shown, Watched};
use crate::web::draw::fleet::{Block, fleet};
use crate::web::draw::mix::mix;
use crate::web::error::Failure;
use crate::web::filter::{Asked, rank};
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::past::DAY;
use crate::web::reader::Reader;
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts, summary, words};

use problem::problem;
pub(crate) use problem::{cause, suspect, told};

/// Up to so many, cards are large and show the last day's response.
const FEW: usize = 8;
/// Up to so many, cards; a table beyond.
const MOST_CARDS: usize = 60;
/// Up to so many, cards for who asks for them.
const MOST_WISHED_CARDS: usize = 240;
/// From so many on, the fleet map, slim problems and a flat table.
const FLEET: usize = 500;
/// Rows of one page of the table.
const ROWS: usize = 50;
/// More problems than this are folded: the first of them, and how many more.
const MOST_PROBLEMS: usize = 8;
const FOLDED_PROBLEMS: usize = 6;
/// Certificates that end within so long are worth a look.
const SOON: Duration = Duration::from_secs(21 * 86_400);

/// `GET /`
pub(crate) async fn page(
    State(web): State<Web>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let parts = Parts::load(&web, &reader, &asked, &monitors, &shell).await?;
    let main = html! {
        (parts.headline())
        @if monitors.is_empty() {
            section.panel { (empty(&reader)) }
        } @else {
            (parts.problems())
            (parts.fleet())
            // Few monitors need no filter; the page stays calm.
            @if parts.shape != Shape::LargeCards || !asked.is_empty() { (parts.filters()) }
            (PreEscaped(parts.list().html))
            (parts.lately())
        }
    };
    let live = ["of=overview".to_owned(), asked.query(|_| ())]
        .iter()
        .filter(|it| !it.is_empty())
        .cloned()
        .collect::<Vec<_>>()
        .join("&");
    Ok(layout::page(&web, &reader, &shell, Page { live, ..Page::new("Overview", Place::Overview, main) }))
}

/// The same, in parts, for the event stream.
pub(crate) async fn view(
    web: &Web,
    reader: &Reader,
    asked: &Asked,
    monitors: &[Watched],
    shell: &Shell,
) -> Result<View, Failure> {
    let parts = Parts::load(web, reader, asked, monitors, shell).await?;
    let mut fragments = vec![Fragment::new("headline", parts.headline())];
    if !monitors.is_empty() {
        fragments.push(Fragment::new("problems", parts.problems()));
        fragments.push(Fragment::new("fleet", parts.fleet()));
        fragments.push(parts.list());
        fragments.push(Fragment::new("lately", parts.lately()));
    }
    Ok(View { title: "Overview".into(), fragments })
}

fn empty(reader: &Reader) -> Markup {
    let action = html! {
        @if reader.is_editor() { a.btn.primary href=(links::new_monitor()) { (parts::icon("plus")) "Add monitor" } }
    };
    parts::empty(
        "Nothing is watched yet",
        "Give Watchbell an address to ask, or a job to wait for. It tells you when something is wrong.",
        &action,
    )
}

/// How monitors are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    LargeCards,
    Cards,
    /// A table with a row for each group.
    Grouped,
    /// A dense table, problems first.
    Flat,
}

/// What the overview is made of.
struct Parts<'a> {
    reader: &'a Reader,
    asked: &'a Asked,
    shell: &'a Shell,
    monitors: &'a [Watched],
    /// Those that the filter lets through, in the order they are shown.
    found: Vec<&'a Watched>,
    shape: Shape,
    gaps: Vec<Gap>,
    /// The last day's response of each card, for few monitors.
    areas: BTreeMap<i64, Vec<Bucket>>,
    lately: Vec<Markup>,
    configuration: usize,
    channels: usize,
}

impl<'a> Parts<'a> {
    async fn load(
        web: &Web,
        reader: &'a Reader,
        asked: &'a Asked,
        monitors: &'a [Watched],
        shell: &'a Shell,
    ) -> Result<Self, Failure> {
        let app = web.app();
        let now = reader.now();
        let filter = asked.filter();
        let person = reader.caller.name();
        let mut found: Vec<&Watched> = monitors.iter().filter(|it| filter.matches(it, person, now)).collect();
        let shape = match (asked.view.as_str(), monitors.len()) {
            ("table", ..FLEET) => Shape::Grouped,
            ("table", _) => Shape::Flat,
            (_, ..=FEW) => Shape::LargeCards,
            ("cards", ..=MOST_WISHED_CARDS) | (_, ..=MOST_CARDS) => Shape::Cards,
            (_, ..FLEET) => Shape::Grouped,
            _ => Shape::Flat,
        };
        sort(&mut found, shape);
        // Without these the page is still worth showing.
        let gaps = app.store.gaps(None, now - DAY * 30, now).await.unwrap_or_default();
        let mut areas = BTreeMap::new();
        let mut lately = Vec::new();
        if shape == Shape::LargeCards {
            for watched in found.iter().filter(|it| it.fixed.spec.probe.is_some()) {
                if let Ok(buckets) = app.store.chart(watched.fixed.id, now - DAY, now, 64).await {
                    areas.insert(watched.fixed.id, buckets);
                }
            }
            lately = closed_lately(web, reader, monitors).await;
        }
        let configuration = app.problems.all().len();
        let channels = app.live.channels().len();
        Ok(Self { reader, asked, shell, monitors, found, shape, gaps, areas, lately, configuration, channels })
    }

    fn headline(&self) -> Markup {
        let summary = &self.shell.summary;
        let class = if summary.blind { "unknown" } else { summary.class() };
        html! {
            div.headline #headline {
                (parts::glyph(class, 28))
                div { h1 { (summary.headline) } p { (summary.second) } }
                @if self.shape == Shape::LargeCards {
                    @if self.reader.is_editor() && !self.monitors.is_empty() {
                        div.end.row {
                            a.btn.primary href=(links::new_monitor()) { (parts::icon("plus")) "Add monitor" }
                        }
                    }
                } @else {
                    (mix(&summary.counts))
                }
            }
        }
    }

    fn problems(&self) -> Markup {
        let problems = summary::problems(self.monitors);
        let folded = if problems.len() > MOST_PROBLEMS { FOLDED_PROBLEMS } else { problems.len() };
        let slim = self.monitors.len() >= FLEET;
        let more = problems.len() - folded;
        let look = self.look();
        html! {
            @if problems.is_empty() && look.is_empty() {
                div #problems {}
            } @else {
                section.panel.problems #problems aria-label="Needs you" data-hold="moving" {
                    @for (index, watched) in problems.iter().take(folded).enumerate() {
                        (problem(watched, self.reader, slim, index == 0))
                    }
                    @if more > 0 || !look.is_empty() {
                        div.look {
                            @if more > 0 {
                                a href=(links::filtered("state:down,degraded,unknown")) {
                                    b.b { (words::counted(more, "more cause", "more causes")) }
                                }
                            }
                            @if !look.is_empty() { span { "Worth a look" } }
                            @for item in &look { (item) }
                        }
                    }
                }
            }
        }
    }

    /// What wants a decision this week, not tonight.
    fn look(&self) -> Vec<Markup> {
        let now = self.reader.now();
        let mut items = Vec::new();
        let mut item =
            |href: String, drawing: Markup, text: String| items.push(html! { a href=(href) { (drawing) (text) } });
        let ending: Vec<_> = self
            .monitors
            .iter()
            .filter_map(|it| it.last.as_ref().or(it.last_ok.as_ref()).and_then(|seen| seen.expires_at))
            .filter(|ends| *ends <= now + SOON)
            .collect();
        if let Some(first) = ending.iter().min() {
            let when = if *first <= now { "now".to_owned() } else { format!("in {}", words::length(first.since(now))) };
            let text = match ending.len() {
                1 if *first <= now => "1 certificate has ended".to_owned(),
                1 => format!("1 certificate ends {when}"),
                count => format!("{count} certificates end, the first {when}"),
            };
            item(links::filtered("cert:<21d"), parts::icon("lock"), text);
        }
        if let Some(dead) = self.shell.dead.filter(|dead| *dead > 0) {
            let text = format!("{} given up", words::counted(dead as usize, "message was", "messages were"));
            item(format!("{}?show=dead", links::deliveries()), parts::icon("send"), text);
        }
        if self.configuration > 0 {
            let text = format!("{} of the configuration ignored", words::counted(self.configuration, "line", "lines"));
            item(links::problems(), parts::icon("note"), text);
        }
        if self.channels == 0 && !self.monitors.is_empty() {
            item(links::alerting(), parts::icon("mute"), "Nobody would hear the bell: add a channel".to_owned());
        } else {
            let untold = self.monitors.iter().filter(|it| it.fixed.notify.is_empty() && !it.state.paused).count();
            if untold > 0 && self.channels > 0 {
                item(
                    links::alerting(),
                    parts::icon("mute"),
                    format!("{} nobody", words::counted(untold, "monitor tells", "monitors tell")),
                );
            }
        }
        let paused = self.shell.summary.counts.of(Shown::Paused);
        if paused > 0 {
            item(links::filtered("state:paused"), parts::small_glyph("paused"), format!("{paused} paused"));
        }
        items
    }

    fn fleet(&self) -> Markup {
        if self.monitors.len() < FLEET {
            return html! { div #fleet {} };
        }
        let mut groups: BTreeMap<&str, Vec<Shown>> = BTreeMap::new();
        for watched in self.monitors {
            groups.entry(group_of(watched)).or_default().push(watched.shown());
        }
        let blocks: Vec<Block<'_>> = groups
            .into_iter()
            .map(|(group, cells)| Block { group: if group.is_empty() { NO_GROUP } else { group }, cells })
            .collect();
        fleet(&blocks)
    }

    fn filters(&self) -> Markup {
        let (asked, all) = (self.asked, self.monitors.len());
        let tags = frequent(self.monitors.iter().flat_map(|it| it.fixed.spec.tags.iter().map(String::as_str)));
        let view = if matches!(self.shape, Shape::Cards | Shape::LargeCards) { "cards" } else { "table" };
        let choice = |name: &str, icon: &str, word: &str, options: &[(String, String)], chosen: &str| {
            html! {
                span.pick.hide-s {
                    (parts::icon(icon))
                    select.btn name=(name) aria-label=(word) data-submit="" {
                        option value="" selected[chosen.is_empty()] { (word) }
                        @for (value, label) in options { option value=(value) selected[value == chosen] { (label) } }
                    }
                }
            }
        };
        let states: Vec<(String, String)> = Shown::ALL
            .into_iter()
            .filter(|shown| self.shell.summary.counts.of(*shown) > 0 || asked.state == shown.name())
            .map(|shown| {
                (
                    shown.name().to_owned(),
                    format!("{} {}", self.shell.summary.counts.of(shown), shown.word().to_lowercase()),
                )
            })
            .collect();
        let tags: Vec<(String, String)> = tags.into_iter().map(|tag| (tag.to_owned(), tag.to_owned())).collect();
        html! {
            form.filters role="search" action=(links::overview()) method="get" {
                div.search.wide[all >= FLEET] {
                    (parts::icon("search"))
                    input.inp #filter type="search" name="q" value=(asked.q) placeholder={ "Filter " (words::counted(all, "monitor", "monitors")) }
                        aria-label="Filter monitors" autocomplete="off";
                    kbd.hide-s { "/" }
                }
                (choice("state", "filter", "State", &states, &asked.state))
                @if !tags.is_empty() { (choice("tag", "tag", "Tag", &tags, &asked.tag)) }
                @if !asked.group.is_empty() { input type="hidden" name="group" value=(asked.group); }
                @if !asked.view.is_empty() { input type="hidden" name="view" value=(asked.view); }
                button.btn.no-script { "Filter" }
                @if !asked.is_empty() { a.btn.ghost href={ (links::overview()) "?" (asked.query(clear)) } { "Clear" } }
                span.end {
                    span.seg role="group" aria-label="View" {
                        @for (name, icon, word) in [("cards", "cards", "Cards"), ("table", "table", "Table")] {
                            a href={ (links::overview()) "?" (asked.query(|it| { it.view = name.to_owned(); it.page = None; })) }
                                aria-current=[(view == name).then_some("true")] data-view=(name) {
                                (parts::icon(icon)) span.sr-s { (word) }
                            }
                        }
                    }
                    @if self.reader.is_editor() && self.shape != Shape::LargeCards {
                        a.btn.primary href=(links::new_monitor()) { (parts::icon("plus")) span.sr-s { "Add monitor" } }
                    }
                }
            }
        }
    }

    fn lately(&self) -> Markup {
        html! {
            @if self.lately.is_empty() {
                div #lately {}
            } @else {
                section.panel.mt #lately aria-labelledby="h-lately" {
                    div.panel-h {
                        h2 #h-lately { "Lately" }
                        span.end { a.btn.ghost.sm href=(links::incidents()) { "All incidents" } }
                    }
                    ul.list { @for item in &self.lately { li { (item) } } }
                }
            }
        }
    }
}

const NO_GROUP: &str = "Without a group";

fn clear(asked: &mut Asked) {
    *asked = Asked { view: std::mem::take(&mut asked.view), ..Asked::default() };
}

pub(crate) fn group_of(watched: &Watched) -> &str {
    watched.fixed.spec.group.as_deref().unwrap_or_default()
}

/// Trouble first, then names; by group where groups are shown, groups with trouble before the others.
fn sort(found: &mut [&Watched], shape: Shape) {
    let by_name = |it: &&Watched| (rank(it), it.fixed.title().to_lowercase());
    if shape == Shape::Flat {
        found.sort_by_cached_key(by_name);
        return;
    }
    let mut worst: BTreeMap<&str, u8> = BTreeMap::new();
    for watched in found.iter() {
        // New, up and paused are calm: they do not move a group.
        let rank = rank(watched).0.min(3);
        worst.entry(group_of(watched)).and_modify(|it| *it = rank.min(*it)).or_insert(rank);
    }
    found.sort_by_cached_key(|it| {
        let group = group_of(it);
        (worst.get(group).copied(), group.is_empty(), group.to_lowercase(), by_name(it))
    });
}

/// The twenty most frequent, by name.
fn frequent<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    let mut most: Vec<(&str, usize)> = counts.into_iter().collect();
    most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    most.truncate(20);
    let mut names: Vec<&str> = most.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

/// What ended in the last days, for a house that is quiet enough to tell it.
async fn closed_lately(web: &Web, reader: &Reader, monitors: &[Watched]) -> Vec<Markup> {
    let filter = IncidentFilter { open: Some(false), from: Some(reader.now() - DAY * 7), ..IncidentFilter::default() };
    let Ok(closed) = web.app().store.incidents(&filter, watchbell_store::Page::first(3)).await else {
        return Vec::new();
    };
    closed
        .iter()
        .filter_map(|incident| {
            let watched = monitors.iter().find(|it| it.fixed.id == incident.monitor)?;
            let closing = incident.closed.as_ref()?;
            Some(html! {
                (parts::glyph("up", 20))
                div {
                    a.quiet href=(links::incident(&incident.public_id())) { b { (watched.fixed.title()) } }
                    " was down for " (words::length(closing.at.since(incident.since))) " "
                    span.i3 { (incident.reason.text) }
                }
                span.sub.num { (reader.calendar.time(incident.since)) }
            })
        })
        .collect()
}
