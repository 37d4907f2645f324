//! The overview: the three answers, then the way in. Cards up to sixty monitors, a table beyond, the fleet map from
//! five hundred on. The first answer holds fifty rows; counts are always of all.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Query, State};
use maud::{Markup, PreEscaped, html};
use watchbell_core::Verdict;
use watchbell_core::decide::Sight;
use watchbell_store::{Bucket, Gap, IncidentFilter};

use crate::live::{Shown, Watched};
use crate::web::draw::chart;
use crate::web::draw::fleet::{Block, fleet};
use crate::web::draw::mix::mix;
use crate::web::draw::strip::{Pitch, strip};
use crate::web::error::Failure;
use crate::web::filter::{Asked, rank};
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::past::{self, DAY};
use crate::web::reader::Reader;
use crate::web::stream::{Fragment, View};
use crate::web::summary::{self, Counts};
use crate::web::{Web, links, parts, words};

/// Up to so many, cards are large and show the last day's response.
const FEW: usize = 8;
/// Up to so many, cards; a table beyond.
const MOST_CARDS: usize = 60;
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
pub(crate) async fn page(State(web): State<Web>, reader: Reader, Query(asked): Query<Asked>) -> Result<Markup, Failure> {
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
            (parts.filters())
            (PreEscaped(parts.list().html))
            (parts.lately())
        }
    };
    let live = format!("of=overview&{}", asked.query(|_| ()));
    Ok(layout::page(&web, &reader, &shell, Page { live, ..Page::new("Overview", Place::Overview, main) }))
}

/// The same, in parts, for the event stream.
pub(crate) async fn view(web: &Web, reader: &Reader, asked: &Asked, monitors: &[Watched], shell: &Shell) -> Result<View, Failure> {
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
    parts::empty("Nothing is watched yet", "Give Watchbell an address to ask, or a job to wait for. It tells you when something is wrong.", &action)
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
    async fn load(web: &Web, reader: &'a Reader, asked: &'a Asked, monitors: &'a [Watched], shell: &'a Shell) -> Result<Self, Failure> {
        let app = web.app();
        let now = reader.now();
        let filter = asked.filter();
        let person = reader.caller.name();
        let mut found: Vec<&Watched> = monitors.iter().filter(|it| filter.matches(it, person, now)).collect();
        let shape = match (asked.view.as_str(), monitors.len()) {
            ("table", ..FLEET) => Shape::Grouped,
            ("table", _) => Shape::Flat,
            (_, ..=FEW) => Shape::LargeCards,
            ("cards", ..FLEET) | (_, ..=MOST_CARDS) => Shape::Cards,
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
                        div.end.row { a.btn.primary href=(links::new_monitor()) { (parts::icon("plus")) "Add monitor" } }
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
                section.panel.problems #problems aria-label="Needs you" {
                    @for (index, watched) in problems.iter().take(folded).enumerate() { (problem(watched, self.reader, slim, index == 0)) }
                    @if more > 0 || !look.is_empty() {
                        div.look {
                            @if more > 0 { a href=(links::filtered("state:down,degraded,unknown")) { b.b { (words::counted(more, "more cause", "more causes")) } } }
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
        let mut item = |href: String, drawing: Markup, text: String| items.push(html! { a href=(href) { (drawing) (text) } });
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
                item(links::alerting(), parts::icon("mute"), format!("{} nobody", words::counted(untold, "monitor tells", "monitors tell")));
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
        let blocks: Vec<Block<'_>> = groups.into_iter().map(|(group, cells)| Block { group: if group.is_empty() { NO_GROUP } else { group }, cells }).collect();
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
            .map(|shown| (shown.name().to_owned(), format!("{} {}", self.shell.summary.counts.of(shown), shown.word().to_lowercase())))
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

    /// Cards or table, with its rows beside it.
    fn list(&self) -> Fragment {
        let (html, rows) = match self.shape {
            _ if self.found.is_empty() => (html! { section.panel { (self.nothing()) } }, Vec::new()),
            Shape::LargeCards | Shape::Cards => self.cards(),
            Shape::Grouped | Shape::Flat => self.table(),
        };
        let html = html! { div #list data-list="" { (html) } }.into_string();
        let mut rows = rows;
        if rows.is_empty() {
            rows.push(("nothing".to_owned(), self.asked.said()));
        }
        Fragment { id: "list".into(), html, rows }
    }

    fn nothing(&self) -> Markup {
        let action = html! { a.btn href={ (links::overview()) "?" (self.asked.query(clear)) } { "Clear the filter" } };
        parts::empty("Nothing matches", &format!("No monitor fits {}.", self.asked.said()), &action)
    }

    fn groups(&self) -> Vec<(&'a str, Vec<&'a Watched>)> {
        let mut groups: Vec<(&str, Vec<&Watched>)> = Vec::new();
        for watched in &self.found {
            let name = group_of(watched);
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, members)) => members.push(watched),
                None => groups.push((name, vec![watched])),
            }
        }
        groups
    }

    fn cards(&self) -> (Markup, Vec<(String, String)>) {
        let large = self.shape == Shape::LargeCards;
        let mut rows = Vec::new();
        let groups = self.groups();
        let alone = groups.len() == 1 && groups[0].0.is_empty();
        let mut out = String::new();
        for (index, (name, members)) in groups.iter().enumerate() {
            let mut cards = String::new();
            for watched in members {
                let card = self.card(watched, large).into_string();
                cards.push_str(&card);
                rows.push((row_id(watched), card));
            }
            let head = self.group_head(index, name, members).into_string();
            let section = html! {
                section.group.bare[alone] aria-labelledby=[(!alone).then(|| format!("g{index}-h"))] aria-label=[alone.then_some("Monitors")] {
                    @if !alone { (PreEscaped(&head)) }
                    ul.cards.large[large] { (PreEscaped(cards)) }
                }
            };
            if !alone {
                rows.push((format!("g{index}"), head));
            }
            out.push_str(&section.into_string());
        }
        (PreEscaped(out), rows)
    }

    fn group_head(&self, index: usize, name: &str, members: &[&Watched]) -> Markup {
        let counts = counted(members);
        let uptime = past::together(members.iter().map(|it| past::uptime(it, &self.gaps, self.reader.now(), DAY * 30)));
        html! {
            div.group-h #{ "g" (index) } {
                h2 #{ "g" (index) "-h" } { @if name.is_empty() { (NO_GROUP) } @else { (name) } }
                span.sub {
                    @for shown in [Shown::Down, Shown::Degraded, Shown::Unknown] {
                        @if counts.of(shown) > 0 { (parts::state(shown.class(), &format!("{} {}", counts.of(shown), shown.word().to_lowercase()))) }
                    }
                    span { (counts.of(Shown::Up)) " up" }
                    @for shown in [Shown::Pending, Shown::Paused] {
                        @if counts.of(shown) > 0 { span { (counts.of(shown)) " " (shown.word().to_lowercase()) } }
                    }
                }
                span.end.num.hide-s { (past::percent(&uptime)) " in 30\u{a0}days" }
            }
        }
    }

    fn card(&self, watched: &Watched, large: bool) -> Markup {
        let shown = watched.shown();
        let now = self.reader.now();
        let uptime = past::percent(&past::uptime(watched, &self.gaps, now, DAY));
        let cells: Vec<Verdict> = past::strip(watched, &self.gaps, now).iter().map(|cell| cell.verdict).collect();
        html! {
            li.card.(shown.class()) #(row_id(watched)) {
                div.l1 {
                    (parts::small_glyph(shown.class()))
                    a.clip href=(links::monitor(&watched.fixed.slug)) { (watched.fixed.title()) }
                    @if shown != Shown::Up { span.sr { (shown.word()) } }
                    span.ms.num { @if let Some(took) = answered(watched) { (words::latency(took)) } }
                }
                div.l2 {
                    span.clip {
                        @match shown {
                            Shown::Down => { span.bad { "Down" } " · " (cause(watched)) },
                            Shown::Degraded => { span.slow { "Degraded" } " · " (cause(watched)) },
                            Shown::Unknown => { "Unknown · " (cause(watched)) },
                            Shown::Paused => { "Paused" },
                            Shown::Pending => { (waiting(watched)) },
                            Shown::Up => { @match suspect(watched) { Some(hint) => span.slow { (hint) }, None => (short_target(watched)) } },
                        }
                    }
                    span.num { (uptime) }
                }
                @if large && let Some(area) = self.areas.get(&watched.fixed.id).and_then(|it| chart::area(it, now - DAY, now)) { (area) }
                (strip(&cells, Pitch::Card, &format!("Last 24 hours: {uptime} up")))
            }
        }
    }

    fn table(&self) -> (Markup, Vec<(String, String)>) {
        let flat = self.shape == Shape::Flat;
        let pages = self.found.len().div_ceil(ROWS).max(1);
        let page = self.asked.page.unwrap_or(1).clamp(1, pages);
        let shown = &self.found[(page - 1) * ROWS..self.found.len().min(page * ROWS)];
        let groups: BTreeMap<&str, Vec<&Watched>> = if flat { BTreeMap::new() } else { self.groups().into_iter().collect() };
        let mut rows: Vec<(String, String)> = Vec::new();
        let mut last: Option<&str> = None;
        for watched in shown {
            let group = group_of(watched);
            if !flat && last != Some(group) && groups.len() > 1 {
                let members = groups.get(group).map_or(&[][..], Vec::as_slice);
                rows.push((format!("g-{}", rows.len()), self.group_row(rows.len(), group, members).into_string()));
            }
            last = Some(group);
            rows.push((row_id(watched), self.row(watched).into_string()));
        }
        let body: String = rows.iter().map(|(_, html)| html.as_str()).collect();
        let table = html! {
            div.tbl-wrap {
                table.tbl.duo.sticky-h.dense[flat] aria-rowcount=(self.found.len() + 1) {
                    caption.sr { @if flat { "All monitors, problems first" } @else { "All monitors, by group, problems first" } }
                    colgroup { col.c-state; col.c-name; col.c-last.hide-s; col.c-ms.hide-s; col.c-strip.hide-m; col.c-up; }
                    thead {
                        tr {
                            th scope="col" { span.w { "State" } }
                            th scope="col" { "Name" }
                            th.hide-s scope="col" { "Last result" }
                            th.r.hide-s scope="col" { "Response" }
                            th.hide-m scope="col" { "24\u{a0}hours" }
                            th.r scope="col" { "30\u{a0}days" }
                        }
                    }
                    tbody { (PreEscaped(body)) }
                }
            }
            @if pages > 1 { (self.pager(page, pages)) }
        };
        (table, rows)
    }

    fn group_row(&self, index: usize, name: &str, members: &[&Watched]) -> Markup {
        let counts = counted(members);
        let uptime = past::together(members.iter().map(|it| past::uptime(it, &self.gaps, self.reader.now(), DAY * 30)));
        html! {
            tr.grp #{ "g-" (index) } {
                th scope="rowgroup" colspan="2" { @if name.is_empty() { (NO_GROUP) } @else { (name) } }
                td.hide-s { (counts.of(Shown::Up)) " of " (members.len()) " up" }
                td.hide-s {}
                td.hide-m {}
                td.r.num { (past::percent(&uptime)) }
            }
        }
    }

    fn row(&self, watched: &Watched) -> Markup {
        let shown = watched.shown();
        let now = self.reader.now();
        let day = past::percent(&past::uptime(watched, &self.gaps, now, DAY));
        let cells: Vec<Verdict> = past::strip(watched, &self.gaps, now).iter().map(|cell| cell.verdict).collect();
        let took = answered(watched);
        html! {
            tr.{ "is-" (shown.class()) } #(row_id(watched)) {
                td { (parts::shown(shown)) }
                td {
                    a.nm.quiet href=(links::monitor(&watched.fixed.slug)) { (watched.fixed.title()) } " "
                    span.tg { (short_target(watched)) }
                    @if !watched.fixed.spec.tags.is_empty() {
                        span.tags.hide-l { @for tag in watched.fixed.spec.tags.iter().take(3) { (parts::tag(tag)) } }
                    }
                    small.sub-s.{ (shown.class()) "-t" } {
                        @if !matches!(shown, Shown::Up | Shown::Pending) { (shown.word()) " · " }
                        @match (shown, took) {
                            (Shown::Up, Some(took)) => (words::millis(took)),
                            (Shown::Up | Shown::Pending, None) => (waiting(watched)),
                            _ => (cause(watched)),
                        }
                    }
                }
                td.hide-s {
                    span.down-t[shown == Shown::Down] { (result(watched)) }
                    @if let Some(last) = &watched.last { span.i3 { " · " (self.reader.calendar.age(last.at)) } }
                }
                td.r.num.hide-s { @match took { Some(took) => (words::millis(took)), None => span.i3 { "–" } } }
                td.hide-m { (strip(&cells, Pitch::Table, &format!("Last 24 hours: {day} up"))) }
                td.r.num { (past::percent(&past::uptime(watched, &self.gaps, now, DAY * 30))) }
            }
        }
    }

    fn pager(&self, page: usize, pages: usize) -> Markup {
        let link = |to: usize| format!("{}?{}#list", links::overview(), self.asked.query(|it| it.page = Some(to)));
        let mut near: Vec<usize> = [1, page.saturating_sub(1), page, page + 1, pages].into_iter().filter(|it| (1..=pages).contains(it)).collect();
        near.sort_unstable();
        near.dedup();
        html! {
            div.range {
                span { ((page - 1) * ROWS + 1) "–" ((page * ROWS).min(self.found.len())) " of " (words::count(self.found.len() as u64)) }
                span.i3.hide-s { "problems first, then by name" }
                nav.pager aria-label="Pages" {
                    @if page > 1 { a href=(link(page - 1)) aria-label="Previous page" rel="prev" { "‹" } }
                    @for (place, it) in near.iter().enumerate() {
                        @if place > 0 && near[place - 1] + 1 < *it { span { "…" } }
                        a href=(link(*it)) aria-current=[(*it == page).then_some("page")] { (it) }
                    }
                    @if page < pages { a href=(link(page + 1)) aria-label="Next page" rel="next" { "›" } }
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
                    div.panel-h { h2 #h-lately { "Lately" } span.end { a.btn.ghost.sm href=(links::incidents()) { "All incidents" } } }
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

fn row_id(watched: &Watched) -> String {
    format!("m-{}", watched.fixed.slug)
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

fn counted(members: &[&Watched]) -> Counts {
    let mut counts = Counts::default();
    for watched in members {
        counts.add(watched.shown());
    }
    counts
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

/// How long the last answer took, if it was one.
fn answered(watched: &Watched) -> Option<Duration> {
    watched
        .last
        .as_ref()
        .filter(|last| matches!(last.sight, Sight::Ok | Sight::Slow(_)) && watched.fixed.spec.probe.is_some() && !watched.state.paused)
        .map(|last| last.took)
}

/// Why it is as it is, in a phrase.
pub(crate) fn cause(watched: &Watched) -> String {
    let state = &watched.state;
    let reason = state
        .incident
        .as_ref()
        .map(|incident| &incident.reason)
        .or_else(|| state.blind.as_ref().and_then(|run| run.reason.as_ref()))
        .or_else(|| state.slow.as_ref().and_then(|run| run.reason.as_ref()))
        .or_else(|| watched.last.as_ref().and_then(|last| last.reason()))
        .or_else(|| watched.history.last().map(|transition| &transition.reason));
    reason.map_or_else(|| watched.shown().word().to_owned(), |reason| reason.text.clone())
}

/// What the last look gave, in a phrase.
fn result(watched: &Watched) -> String {
    match &watched.last {
        _ if watched.state.paused => "Paused".to_owned(),
        None => waiting(watched),
        Some(last) => match last.reason() {
            Some(reason) => reason.text.clone(),
            None => last.evidence.rows.first().map_or_else(|| "Answered".to_owned(), |row| row.value.clone()),
        },
    }
}

fn waiting(watched: &Watched) -> String {
    if watched.fixed.spec.heartbeat.is_some() { "Waits for its first call".to_owned() } else { "First check is on its way".to_owned() }
}

/// Failures that are not yet confirmed: "2 of 3 failed".
pub(crate) fn suspect(watched: &Watched) -> Option<String> {
    let failing = watched.state.failing.as_ref().filter(|_| watched.state.incident.is_none())?;
    Some(format!("{} of {} failed", failing.count, watched.fixed.policy.failure_threshold))
}

/// What is asked, without what everybody knows.
fn short_target(watched: &Watched) -> String {
    let target = watched.fixed.spec.target();
    let short = target.strip_prefix("https://").or_else(|| target.strip_prefix("http://")).unwrap_or(&target);
    short.strip_suffix('/').unwrap_or(short).to_owned()
}

/// One problem: shape, name and cause, since when, who knows, what to do.
fn problem(watched: &Watched, reader: &Reader, slim: bool, first: bool) -> Markup {
    let shown = watched.shown();
    let loud = shown == Shown::Down && watched.acknowledged.is_none();
    let since = watched.state.since;
    html! {
        div.problem.loud[loud].slim[slim] {
            (parts::glyph(shown.class(), if slim { 20 } else { 28 }))
            div.what {
                div.name {
                    span.sr { (shown.word()) ": " }
                    a.clip.quiet href=(links::monitor(&watched.fixed.slug)) { (watched.fixed.title()) }
                    @if !group_of(watched).is_empty() { span.grp { (group_of(watched)) } }
                }
                div.why { (words::sentence(&cause(watched))) @if !slim && shown == Shown::Unknown { " It may be fine: we could not ask." } }
            }
            div.since {
                b { (reader.calendar.age(since)) }
                @if !slim { span { "since " (reader.calendar.time(since)) } }
            }
            (who(watched, reader, slim))
            div.acts { @if reader.is_editor() { (acts(watched, slim, first)) } }
        }
    }
}

/// Who has it, or that nobody has, and who was told.
pub(crate) fn who(watched: &Watched, reader: &Reader, slim: bool) -> Markup {
    let told = told(watched);
    html! {
        div.who {
            @if let Some(it) = &watched.acknowledged {
                (parts::avatar(&it.by, slim))
                div {
                    span { (it.by) ", " (reader.calendar.age(it.at)) " ago" }
                    @if !it.note.is_empty() && !slim { small.clip { "“" (it.note) "”" } }
                }
            } @else if watched.shown() == Shown::Down {
                span.av.none.sm[slim] aria-hidden="true" { "?" }
                div { span.down-t.b { "Nobody has it" } @if !slim { small.clip { (told) } } }
            } @else {
                span.av.wait.sm[slim] aria-hidden="true" { "–" }
                div { span.i2 { @if told.starts_with("Told") { "Nobody needs to act yet" } @else { "Not told to anyone" } } @if !slim { small.clip { (told) } } }
            }
        }
    }
}

/// Who was told of what is wrong, or why nobody was.
pub(crate) fn told(watched: &Watched) -> String {
    let state = &watched.state;
    let heard = match (&state.incident, &state.told_degraded) {
        (Some(incident), _) => Some(&incident.told),
        (None, Some(told)) => Some(told),
        (None, None) => None,
    };
    match heard {
        Some(told) if !told.is_empty() => {
            let names: Vec<&str> = told.iter().map(watchbell_core::Slug::as_str).collect();
            format!("Told: {}", words::listed(&names))
        }
        _ if watched.fixed.notify.is_empty() => "No channel is named for it".to_owned(),
        Some(_) => "Nobody was told".to_owned(),
        None if watched.shown() == Shown::Unknown => "What we cannot see is not told as down".to_owned(),
        None => "Nobody was told yet".to_owned(),
    }
}

fn acts(watched: &Watched, slim: bool, first: bool) -> Markup {
    let slug = &watched.fixed.slug;
    let owned = watched.state.incident.is_none() || watched.acknowledged.is_some();
    let size = if slim { "sm" } else { "" };
    html! {
        @if !owned {
            (parts::post(&links::monitor_action(slug, "acknowledge"), &format!("{size} {}", if first { "primary" } else { "" }),
                &html! { (parts::icon("ack")) "Acknowledge" }))
        }
        @if watched.fixed.spec.probe.is_some() {
            @if owned {
                (parts::post(&links::monitor_action(slug, "check"), size, &html! { (parts::icon("again")) "Check now" }))
            } @else {
                (parts::post(&links::monitor_action(slug, "check"), &format!("icon twin {size}"), &html! { (parts::icon("again")) span.twin-w { "Check now" } }))
            }
        } @else {
            a.btn.(size) href=(links::monitor(slug)) { "Open" }
        }
    }
}

/// What ended in the last days, for a house that is quiet enough to tell it.
async fn closed_lately(web: &Web, reader: &Reader, monitors: &[Watched]) -> Vec<Markup> {
    let filter = IncidentFilter { open: Some(false), from: Some(reader.now() - DAY * 7), ..IncidentFilter::default() };
    let Ok(closed) = web.app().store.incidents(&filter, watchbell_store::Page::first(3)).await else { return Vec::new() };
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
