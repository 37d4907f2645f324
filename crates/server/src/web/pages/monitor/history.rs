//! The past of one monitor: response, uptime, ninety days, incidents, single results.

use std::time::Duration;

use maud::{Markup, html};
use watchbell_core::decide::Sight;
use watchbell_core::history::Uptime;
use watchbell_core::{Timestamp, Verdict};

use super::{INCIDENTS, Parts, RECENT};
use crate::live::{Shown, Watched};
use crate::web::draw::chart::{Chart, Window};
use crate::web::draw::days::days;
use crate::web::past::{self, DAY};
use crate::web::{links, parts, words};

impl Parts<'_> {
    pub(super) fn chart(&self) -> Markup {
        let (watched, now) = (&self.watched, self.now());
        let stretches = past::stretches(watched, &self.gaps, now - self.window.length(), now);
        let chart = Chart {
            window: self.window,
            to: now,
            buckets: &self.buckets,
            stretches: &stretches,
            slow_above: watched.fixed.slow_above,
            interval: watched.fixed.policy.interval,
            down_for: (watched.shown() == Shown::Down).then(|| now.since(watched.state.since)),
            calendar: &self.reader.calendar,
        };
        let here = links::monitor(&watched.fixed.slug);
        html! {
            section.panel #m-chart aria-labelledby="h-resp" data-hold="" {
                @if !self.is_heartbeat() {
                    div.panel-h {
                        h2 #h-resp { "Response time" }
                        span.legend.hide-s {
                            span { svg aria-hidden="true" { line.key-p50 x2="16" y1="5" y2="5" {} } "Median" }
                            span {
                                svg aria-hidden="true" { rect.key-band width="16" height="10" {} } "to 95th percentile"
                            }
                            @if stretches.iter().any(|it| it.verdict == Verdict::Down) {
                                span {
                                    svg aria-hidden="true" { rect.key-inc x=".5" y=".5" width="15" height="9" {} }
                                    "Down"
                                }
                            }
                        }
                        span.end {
                            span.seg role="group" aria-label="Window" {
                                @for (place, window) in Window::ALL.into_iter().enumerate() {
                                    a href={ (here) "?window=" (window.name()) "#m-chart" } aria-current=[(window == self.window).then_some("true")] data-key=(place + 1) {
                                        (window.word())
                                    }
                                }
                            }
                        }
                    }
                    @if self.history_missing {
                        p.note.unknown.in-panel {
                            (parts::glyph("unknown", 16))
                            span {
                                b { "History is not available." }
                                " The database does not answer; the state above is from memory."
                            }
                        }
                    }
                    div.panel-b.chart-pad {
                        (chart.draw())
                        details.more { summary { "Show as table" } (chart.table()) }
                    }
                } @else {
                    div.panel-h { h2 #h-resp { "Uptime" } }
                }
                div.tiles.ruled[!self.is_heartbeat()] {
                    @for (days, word) in [(1_u32, "24\u{a0}hours"), (7, "7\u{a0}days"), (30, "30\u{a0}days"), (90, "90\u{a0}days")] {
                        @let uptime = past::uptime(watched, &self.gaps, now, DAY * days);
                        @let percent = past::percent(&uptime);
                        div.tile {
                            span { @if days == 1 { "Uptime " } (word) }
                            b {
                                @match percent.strip_suffix('%') { Some(figure) => { (figure) small { "%" } }, None => (percent) }
                            }
                            em { (lost(&uptime, watched, now, DAY * days)) }
                        }
                    }
                }
            }
        }
    }

    pub(super) fn days(&self) -> Markup {
        let now = self.now();
        let offset = self.reader.calendar.local(now).offset().seconds();
        let all = past::days(&self.watched, &self.gaps, now, offset);
        let uptime = past::uptime(&self.watched, &self.gaps, now, DAY * 90);
        let bad = all.iter().filter(|day| day.uptime.down > Duration::ZERO).count();
        let longest = all.iter().max_by_key(|day| day.uptime.down).filter(|day| day.uptime.down > Duration::ZERO);
        let mut label = format!(
            "Ninety days: {} up, {} with an outage.",
            past::percent(&uptime),
            words::counted(bad, "day", "days")
        );
        if let Some(day) = longest {
            label.push_str(&format!(
                " The worst: {} on {}.",
                words::fine_length(day.uptime.down),
                self.reader.calendar.day(day.from)
            ));
        }
        html! {
            section.panel.mt #m-days aria-labelledby="h-90" data-hold="" {
                div.panel-h {
                    h2 #h-90 { "Ninety days" }
                    span.sub { (past::percent(&uptime)) " up" }
                    span.end.legend.hide-s {
                        span { (parts::small_glyph("up")) "no trouble" }
                        span { (parts::small_glyph("degraded")) "slow" }
                        span { (parts::small_glyph("down")) "down, filled by time lost" }
                    }
                }
                div.panel-b { (days(&all, &label, &self.reader.calendar)) }
            }
        }
    }

    pub(super) fn incidents(&self) -> Markup {
        let now = self.now();
        let mut sorted: Vec<Duration> =
            self.incidents.iter().filter_map(|it| Some(it.closed.as_ref()?.at.since(it.since))).collect();
        sorted.sort_unstable();
        html! {
            section.panel #m-incidents aria-labelledby="h-inc" {
                div.panel-h {
                    h2 #h-inc { "Incidents" }
                    @if self.incidents.len() == INCIDENTS {
                        span.end {
                            a.btn.ghost.sm href={ (links::incidents()) "?show=" (self.watched.fixed.slug) } { "All" }
                        }
                    }
                }
                @if self.incidents.is_empty() {
                    div.panel-b {
                        p.i3 { @if self.history_missing { "Not available just now." } @else { "None so far." } }
                    }
                }
                @else {
                    table.tbl {
                        caption.sr { "Incidents of this monitor" }
                        colgroup { col.c-when; col; col.c-dur; col.c-by.hide-s; }
                        thead {
                            tr {
                                th scope="col" { "Began" }
                                th scope="col" { "Cause" }
                                th.r scope="col" { "Lasted" }
                                th.hide-s scope="col" { "Had by" }
                            }
                        }
                        tbody { @for it in &self.incidents {
                            tr {
                                td.num {
                                    a.quiet href=(links::incident(&it.public_id())) {
                                        (self.reader.calendar.time(it.since))
                                    }
                                }
                                td {
                                    @if it.closed.is_none() {
                                        (parts::state("down", &it.reason.text))
                                    } @else {
                                        (it.reason.text)
                                    }
                                }
                                td.r.num {
                                    (words::length(it.closed.as_ref().map_or(now, |closing| closing.at).since(it.since)))
                                }
                                td.hide-s.i3[it.acknowledged.is_none()] {
                                    (it.acknowledged.as_ref().map_or("nobody", |it| it.by.as_str()))
                                }
                            }
                        } }
                    }
                    @if sorted.len() > 1 {
                        div.panel-f {
                            span { "Usually over in " b.b { (words::length(sorted[sorted.len() / 2])) } }
                            span { "Longest " b.b { (words::length(sorted[sorted.len() - 1])) } }
                        }
                    }
                }
            }
        }
    }

    pub(super) fn results(&self) -> Markup {
        html! {
            section.panel #m-results aria-labelledby="h-res" {
                div.panel-h { h2 #h-res { @if self.is_heartbeat() { "Recent calls" } @else { "Recent results" } } }
                @if self.results.is_empty() {
                    div.panel-b {
                        p.i3 { @if self.history_missing { "Not available just now." } @else { "None yet." } }
                    }
                }
                @else {
                    table.tbl.dense {
                        caption.sr { "Recent results, newest first" }
                        colgroup { col.c-time; col.c-dur; col; }
                        thead {
                            tr {
                                th scope="col" { "Time" }
                                th.r scope="col" { @if self.is_heartbeat() { "Ran" } @else { "Took" } }
                                th scope="col" { "Result" }
                            }
                        }
                        tbody { @for it in self.results.iter().take(RECENT) {
                            @let (class, word) = sight_words(&it.sight);
                            tr {
                                td.num { (self.reader.calendar.time(it.at)) }
                                td.r.num {
                                    @if self.is_heartbeat() && it.took_us == 0 {
                                        span.i3 { "–" }
                                    } @else {
                                        (words::millis(Duration::from_micros(u64::from(it.took_us))))
                                    }
                                }
                                td { (parts::state(class, word)) }
                            }
                        } }
                    }
                }
            }
        }
    }
}

/// The class and the words of one result.
fn sight_words(sight: &Sight) -> (&'static str, &str) {
    match sight {
        Sight::Ok => ("up", "Good"),
        Sight::Slow(reason) => ("degraded", &reason.text),
        Sight::Fail(reason) => ("down", &reason.text),
        Sight::Local(reason) | Sight::Missed(reason) => ("unknown", &reason.text),
    }
}

/// What the uptime beside it leaves out, in time.
fn lost(uptime: &Uptime, watched: &Watched, now: Timestamp, length: Duration) -> String {
    let mut said = Vec::new();
    if uptime.down > Duration::ZERO {
        said.push(format!("{} down", words::fine_length(uptime.down)));
    }
    // The time before it was made is no time in which nobody looked.
    let before = watched.fixed.created_at.since(now - length);
    let unknown = uptime.unknown.saturating_sub(before);
    if unknown > length / 1000 && unknown >= Duration::from_secs(60) {
        said.push(format!("{} not judged", words::length(unknown)));
    }
    match said.is_empty() {
        true if uptime.judged().is_zero() => "not judged yet".to_owned(),
        true => "nothing lost".to_owned(),
        false => said.join(", "),
    }
}
