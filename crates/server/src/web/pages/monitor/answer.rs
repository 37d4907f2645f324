//! The answer panel: down for how long and why, since when, who knows, what is next.

use std::time::Duration;

use maud::{Markup, html};
use watchbell_core::decide::Sight;
use watchbell_core::{Slug, Timestamp, Verdict};
use watchbell_store::{Delivery, DeliveryState};

use super::Parts;
use crate::live::Shown;
use crate::web::draw::strip::{Pitch, strip};
use crate::web::pages::overview::{cause, suspect, told};
use crate::web::past::DAY;
use crate::web::{links, parts, words};

impl Parts<'_> {
    pub(super) fn answer(&self) -> Markup {
        let shown = self.watched.shown();
        html! {
            section.panel.answer.(shown.class()) #m-answer aria-label="State" {
                div { (self.what()) }
                div { (self.since()) }
                div { (self.who()) }
                div { (self.next()) }
            }
        }
    }

    /// Down for, Up for, and what was seen.
    pub(super) fn what(&self) -> Markup {
        let (watched, shown) = (&self.watched, self.watched.shown());
        let big = match shown {
            Shown::Up => match watched.last.as_ref().and_then(|last| last.evidence.rows.first()) {
                Some(row) => row.value.clone(),
                None if self.is_heartbeat() => "It calls in on time".to_owned(),
                None => "It answers as it should".to_owned(),
            },
            Shown::Pending if self.is_heartbeat() => "Waits for its first call".to_owned(),
            Shown::Pending => "First check is on its way".to_owned(),
            Shown::Paused => "Nobody looks".to_owned(),
            _ => cause(watched),
        };
        let checks: Vec<Verdict> = self.results.iter().rev().map(|it| verdict_of(&it.sight)).collect();
        html! {
            h2 {
                @match shown {
                    Shown::Pending => "New",
                    Shown::Paused => "Paused",
                    _ => { (shown.word()) " for " (self.reader.calendar.fine_age(watched.state.since)) },
                }
            }
            p.big { (big) }
            @if let Some(hint) = suspect(watched) { p.degraded-t { (hint) ", not yet confirmed." } }
            @else if shown == Shown::Up && let Some(last) = &watched.last && !self.is_heartbeat() {
                p { "In " (words::latency(last.took)) ", " (self.reader.calendar.age(last.at)) " ago." }
            } @else if shown == Shown::Unknown {
                p { "We could not ask. It counts neither as up nor as down." }
            }
            @if !checks.is_empty() { (strip(&checks, Pitch::Table, &told_checks(&checks, self.is_heartbeat()))) }
        }
    }

    pub(super) fn since(&self) -> Markup {
        let (watched, calendar) = (&self.watched, &self.reader.calendar);
        let state = &watched.state;
        let confirmed = watched.history.last().filter(|it| it.new == state.verdict).map(|it| it.at);
        let last_good = self.last_good();
        html! {
            h2 { "Since" }
            p.big.num {
                (calendar.time(if watched.shown() == Shown::Pending { watched.fixed.created_at } else { state.since }))
            }
            @match watched.shown() {
                Shown::Down => p {
                    @if let Some(at) = confirmed.filter(|at| *at > state.since) {
                        "Confirmed " (calendar.time(at))
                        @if !self.is_heartbeat() {
                            " by " (watched.fixed.policy.failure_threshold) " failures in a row"
                        }
                        ". "
                    }
                    @match last_good { Some(at) => { "Last good " (if self.is_heartbeat() { "call " } else { "answer " }) (calendar.time(at)) "." }, None if self.never_worked() => "It never worked yet.", None => {} }
                },
                Shown::Degraded => p {
                    @if let Some(limit) = watched.fixed.slow_above {
                        "Slow is above " (words::latency(limit)) ". It does answer."
                    }
                },
                Shown::Pending => p { "Made then." },
                Shown::Paused => p { "Nothing is asked and nobody is told." },
                Shown::Unknown => p { @if let Some(at) = last_good { "Last good answer " (calendar.time(at)) "." } },
                Shown::Up => p { @match watched.history.iter().rev().find(|it| it.old == Verdict::Down) {
                    Some(_) => { "Up again since then." },
                    None => {
                        "Never down since " (calendar.day_time(watched.fixed.created_at.max(self.now() - DAY * 90))) "."
                    },
                } },
            }
        }
    }

    /// When it answered well last, as far as that is still known.
    pub(super) fn last_good(&self) -> Option<Timestamp> {
        let live = self.watched.last_ok.as_ref().map(|seen| seen.at);
        live.or_else(|| self.results.iter().find(|it| matches!(it.sight, Sight::Ok | Sight::Slow(_))).map(|it| it.at))
    }

    pub(super) fn never_worked(&self) -> bool {
        let good = |verdict: Verdict| matches!(verdict, Verdict::Up | Verdict::Degraded);
        let young = self.now().since(self.watched.fixed.created_at) < DAY * 90;
        young && !self.watched.history.iter().any(|it| good(it.old) || good(it.new))
    }

    pub(super) fn who(&self) -> Markup {
        let (watched, calendar) = (&self.watched, &self.reader.calendar);
        let would: Vec<&str> = watched.fixed.notify.iter().map(Slug::as_str).collect();
        html! {
            @match (watched.shown(), &watched.acknowledged) {
                (_, Some(it)) => {
                    h2 { "Who knows" }
                    p.big { (parts::avatar(&it.by, true)) (it.by) }
                    p {
                        "Acknowledged " (calendar.time(it.at)) @if !it.note.is_empty() { ": “" (it.note) "”" } ". "
                        (self.told())
                    }
                },
                (Shown::Down, None) => {
                    h2 { "Who knows" }
                    p.big.down-t { "Nobody has it" }
                    p { (self.told()) }
                    @if self.reader.is_editor() {
                        form.ack method="post" action=(links::monitor_action(&watched.fixed.slug, "acknowledge")) data-post="" {
                            input.inp name="note" maxlength="500" placeholder="Note, if you like" aria-label="Note" autocomplete="off";
                            button.btn.primary[self.is_heartbeat()] data-key="a" { (parts::icon("ack")) "Acknowledge" }
                        }
                    }
                },
                (Shown::Degraded | Shown::Unknown, None) => {
                    h2 { "Who knows" } p.big { "Nobody needs to act yet" } p { (told(watched)) "." }
                },
                (_, None) => {
                    h2 { "Who would be told" }
                    @if would.is_empty() {
                        p.big { "Nobody" }
                        p {
                            "No channel is named for it. "
                            @if self.reader.is_editor() {
                                a.link href=(links::monitor_action(&watched.fixed.slug, "edit")) { "Choose one" }
                            }
                        }
                    } @else {
                        p.big { (words::listed(&would)) }
                        p {
                            "At the latest " (words::setting(watched.fixed.policy.told_within()))
                            " after an outage begins."
                        }
                    }
                },
            }
        }
    }

    /// Who was told of the open incident, and whether it arrived.
    pub(super) fn told(&self) -> Markup {
        let down: Vec<&Delivery> = self.deliveries.iter().filter(|it| it.event == "down").collect();
        let arrived = down.iter().filter(|it| it.state == DeliveryState::Done).count();
        let dead = down.iter().filter(|it| it.state == DeliveryState::Dead).count();
        html! {
            (told(&self.watched))
            @if down.is_empty() { "." }
            @else if arrived == down.len() { ", " (if down.len() == 1 { "delivered" } else { "all delivered" }) "." }
            @else {
                ", " (arrived) " of " (down.len()) " delivered"
                @if dead > 0 { ", " a.link href={ (links::deliveries()) "?show=dead" } { (dead) " given up" } }
                "."
            }
        }
    }

    pub(super) fn next(&self) -> Markup {
        let (watched, calendar) = (&self.watched, &self.reader.calendar);
        let policy = &watched.fixed.policy;
        let reminder = watched.state.incident.as_ref().and_then(|incident| incident.remind_at);
        let due = watchbell_core::decide::deadline(policy, &watched.state).map(|(moment, _)| moment);
        html! {
            @match (watched.shown(), reminder) {
                (Shown::Paused, _) => {
                    h2 { "Next" }
                    p.big { "Nothing" }
                    p { "Until somebody resumes it." }
                },
                (Shown::Down, Some(at)) if watched.acknowledged.is_none() => {
                    h2 { "Next reminder" }
                    p.big.num { (calendar.time(at)) }
                    p {
                        "Every " (words::setting(policy.remind_every.unwrap_or_default()))
                        " until somebody acknowledges it. " (self.next_check())
                    }
                },
                (Shown::Down, _) => {
                    h2 { @if watched.next_check.is_some() { "Next check" } @else { "Next" } }
                    @if let Some(at) = watched.next_check {
                        p.big.num { (calendar.time(at)) }
                    } @else {
                        p.big { "When it calls" }
                    }
                    p {
                        @if self.is_heartbeat() {
                            "Its next call ends this. "
                        } @else {
                            (policy.success_threshold) " good answers in a row end this. "
                        }
                        @if watched.acknowledged.is_some() { "No reminders: somebody has it." }
                        @else if policy.remind_every.is_none() { "Nobody is reminded." }
                    }
                },
                (_, _) if self.is_heartbeat() => {
                    h2 { "Next call" }
                    @match due {
                        Some(at) => {
                            p.big.num {
                                (calendar.time(at - policy.heartbeat.as_ref().map_or(Duration::ZERO, |it| it.grace)))
                            }
                            p { "At the latest " (calendar.time(at)) ", then it is overdue." }
                        },
                        None => { p.big { "Whenever it comes" } p { "It is not judged before its first call." } },
                    }
                },
                (_, _) => {
                    h2 { "Next check" }
                    p.big.num { @match watched.next_check { Some(at) => (calendar.time(at)), None => "soon" } }
                    p { "Every " (words::setting(policy.interval)) "." }
                },
            }
        }
    }

    pub(super) fn next_check(&self) -> Markup {
        html! { @if let Some(at) = self.watched.next_check { "Next check " (self.reader.calendar.time(at)) "." } }
    }
}

/// "Last 57 checks: 43 good, then 14 failed", or how many of each.
fn told_checks(checks: &[Verdict], calls: bool) -> String {
    let what = if calls { "calls" } else { "checks" };
    let failed = checks.iter().filter(|it| **it == Verdict::Down).count();
    let good = checks.len() - failed;
    let ends_failing = checks.iter().rev().take(failed).all(|it| *it == Verdict::Down);
    match failed {
        0 => format!("Last {} {what}, all good", checks.len()),
        failed if ends_failing => format!("Last {} {what}: {good} good, then {failed} failed", checks.len()),
        failed => format!("Last {} {what}: {good} good, {failed} failed", checks.len()),
    }
}

fn verdict_of(sight: &Sight) -> Verdict {
    match sight {
        Sight::Ok => Verdict::Up,
        Sight::Slow(_) => Verdict::Degraded,
        Sight::Fail(_) => Verdict::Down,
        Sight::Local(_) | Sight::Missed(_) => Verdict::Unknown,
    }
}
