//! The monitors themselves: cards by group, or a table of which one page is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use maud::{Markup, PreEscaped, html};
use watchbell_core::Verdict;
use watchbell_core::decide::Sight;

use super::problem::{cause, suspect};
use super::{NO_GROUP, Parts, ROWS, Shape, clear, group_of};
use crate::live::{Shown, Watched};
use crate::web::draw::chart;
use crate::web::draw::strip::{Pitch, strip};
use crate::web::past::{self, DAY};
use crate::web::stream::Fragment;
use crate::web::summary::Counts;
use crate::web::{links, parts, words};

impl<'a> Parts<'a> {
    /// Cards or table, with its rows beside it.
    pub(super) fn list(&self) -> Fragment {
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

    pub(super) fn nothing(&self) -> Markup {
        let action = html! { a.btn href={ (links::overview()) "?" (self.asked.query(clear)) } { "Clear the filter" } };
        parts::empty("Nothing matches", &format!("No monitor fits {}.", self.asked.said()), &action)
    }

    pub(super) fn groups(&self) -> Vec<(&'a str, Vec<&'a Watched>)> {
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

    pub(super) fn cards(&self) -> (Markup, Vec<(String, String)>) {
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

    pub(super) fn group_head(&self, index: usize, name: &str, members: &[&Watched]) -> Markup {
        let counts = counted(members);
        let uptime = past::together(members.iter().map(|it| past::uptime(it, &self.gaps, self.reader.now(), DAY * 30)));
        html! {
            div.group-h #{ "g" (index) } {
                h2 #{ "g" (index) "-h" } { @if name.is_empty() { (NO_GROUP) } @else { (name) } }
                span.sub {
                    @for shown in [Shown::Down, Shown::Degraded, Shown::Unknown] {
                        @if counts.of(shown) > 0 {
                            (parts::state(shown.class(), &format!("{} {}", counts.of(shown), shown.word().to_lowercase())))
                        }
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

    pub(super) fn card(&self, watched: &Watched, large: bool) -> Markup {
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
                            Shown::Up => {
                                @match suspect(watched) { Some(hint) => span.slow { (hint) }, None => (short_target(watched)) }
                            },
                        }
                    }
                    span.num { (uptime) }
                }
                @if large && let Some(area) = self.areas.get(&watched.fixed.id).and_then(|it| chart::area(it, now - DAY, now)) {
                    (area)
                }
                (strip(&cells, Pitch::Card, &format!("Last 24 hours: {uptime} up")))
            }
        }
    }

    pub(super) fn table(&self) -> (Markup, Vec<(String, String)>) {
        let flat = self.shape == Shape::Flat;
        let pages = self.found.len().div_ceil(ROWS).max(1);
        let page = self.asked.page.unwrap_or(1).clamp(1, pages);
        let shown = &self.found[(page - 1) * ROWS..self.found.len().min(page * ROWS)];
        let groups: BTreeMap<&str, Vec<&Watched>> =
            if flat { BTreeMap::new() } else { self.groups().into_iter().collect() };
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
                    caption.sr {
                        @if flat { "All monitors, problems first" } @else { "All monitors, by group, problems first" }
                    }
                    colgroup {
                        col.c-state; col.c-name; col.c-last.hide-s; col.c-ms.hide-s; col.c-strip.hide-m; col.c-up;
                    }
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

    pub(super) fn group_row(&self, index: usize, name: &str, members: &[&Watched]) -> Markup {
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

    pub(super) fn row(&self, watched: &Watched) -> Markup {
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

    pub(super) fn pager(&self, page: usize, pages: usize) -> Markup {
        let link = |to: usize| format!("{}?{}#list", links::overview(), self.asked.query(|it| it.page = Some(to)));
        let mut near: Vec<usize> = [1, page.saturating_sub(1), page, page + 1, pages]
            .into_iter()
            .filter(|it| (1..=pages).contains(it))
            .collect();
        near.sort_unstable();
        near.dedup();
        html! {
            div.range {
                span {
                    ((page - 1) * ROWS + 1) "–" ((page * ROWS).min(self.found.len())) " of "
                    (words::count(self.found.len() as u64))
                }
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
}

fn row_id(watched: &Watched) -> String {
    format!("m-{}", watched.fixed.slug)
}

fn counted(members: &[&Watched]) -> Counts {
    let mut counts = Counts::default();
    for watched in members {
        counts.add(watched.shown());
    }
    counts
}

/// How long the last answer took, if it was one.
fn answered(watched: &Watched) -> Option<Duration> {
    watched
        .last
        .as_ref()
        .filter(|last| {
            matches!(last.sight, Sight::Ok | Sight::Slow(_))
                && watched.fixed.spec.probe.is_some()
                && !watched.state.paused
        })
        .map(|last| last.took)
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
    if watched.fixed.spec.heartbeat.is_some() {
        "Waits for its first call".to_owned()
    } else {
        "First check is on its way".to_owned()
    }
}

/// What is asked, without what everybody knows.
fn short_target(watched: &Watched) -> String {
    let target = watched.fixed.spec.target();
    let short = target.strip_prefix("https://").or_else(|| target.strip_prefix("http://")).unwrap_or(&target);
    short.strip_suffix('/').unwrap_or(short).to_owned()
}
