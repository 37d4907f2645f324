//! Ninety days, one bar each. Calm days are one path; a day with an outage is filled from below by the time it lost.

use std::fmt::Write;

use maud::{Markup, html};
use watchbell_core::Verdict;
use watchbell_core::history::Day;

use crate::web::draw;
use crate::web::words::{self, Calendar};

/// From one day to the next, and a bar's own width.
const STEP: usize = 10;
const BAR: usize = 7;
const HEIGHT: f64 = 34.0;

/// `label` is the sentence for who cannot see it.
pub(crate) fn days(days: &[Day], label: &str, calendar: &Calendar) -> Markup {
    let width = (days.len() * STEP).saturating_sub(STEP - BAR);
    let said: Vec<(String, String)> = days.iter().map(|day| (calendar.day(day.from), told(day))).collect();
    html! {
        div.days-box {
            svg.days viewBox={ "0 0 " (width) " 34" } width="100%" height="34" preserveAspectRatio="none" role="img" aria-label=(label) {
                path.u d=(calm(days, |day| day.is_judged() && !is_troubled(day))) {}
                path.x d=(calm(days, |day| !day.is_judged())) {}
                @for (index, day) in days.iter().enumerate().filter(|(_, day)| is_troubled(day)) {
                    (bar(index * STEP, day))
                }
            }
            div.tip role="presentation" { h4 {} p {} }
            script type="application/json" { (maud::PreEscaped(super::chart::json(&said))) }
        }
        div.days-axis {
            @if let Some(first) = days.first() { span { (calendar.day(first.from)) } }
            hr;
            span { "today" }
        }
        details.more {
            summary { "Show as table" }
            table.tbl.dense {
                caption.sr { "Days with trouble" }
                thead { tr { th scope="col" { "Day" } th scope="col" { "What was" } } }
                tbody {
                    @for (day, (date, said)) in days.iter().zip(&said).rev().filter(|(day, _)| is_troubled(day)) {
                        tr { td.num { (date) } td class=[(day.worst == Verdict::Down).then_some("down-t")] { (said) } }
                    }
                    @if !days.iter().any(is_troubled) { tr { td.i3 colspan="2" { "No trouble in these days." } } }
                }
            }
        }
    }
}

fn is_troubled(day: &Day) -> bool {
    day.uptime.down > std::time::Duration::ZERO || day.uptime.degraded > std::time::Duration::ZERO
}

/// A stroke for every day that fits.
fn calm(days: &[Day], fits: impl Fn(&Day) -> bool) -> String {
    let mut path = String::new();
    for (index, _) in days.iter().enumerate().filter(|(_, day)| fits(day)) {
        // Writing to a string does not fail.
        let _ = write!(path, "M{} 17h{BAR}", index * STEP);
    }
    path
}

fn bar(x: usize, day: &Day) -> Markup {
    let lost = day.minutes_lost();
    html! {
        @if lost > 0 {
            @let height = HEIGHT * filled(lost);
            rect.bg-d x=(x) width=(BAR) height="34" {}
            rect.f-down x=(x) y=(draw::number(HEIGHT - height)) width=(BAR) height=(draw::number(height)) {}
        } @else {
            rect.bg-g x=(x) y="2" width=(BAR) height="30" {}
            rect.f-degraded x=(x) y="20" width=(BAR) height="12" {}
        }
    }
}

/// How much of the bar is filled: by the square root of the minutes lost, so that short outages are seen.
fn filled(minutes: u64) -> f64 {
    (minutes as f64 / 720.0).sqrt().clamp(0.3, 1.0)
}

fn told(day: &Day) -> String {
    if !day.is_judged() {
        return "not watched".to_owned();
    }
    let percent = day.uptime.percent().map(|it| it.to_string()).unwrap_or_default();
    let mut said = vec![format!("{percent} up")];
    for (length, word) in [(day.uptime.down, "down"), (day.uptime.degraded, "slow"), (day.uptime.unknown, "not judged")]
    {
        // The day that is not over is not unknown.
        if length >= std::time::Duration::from_secs(if word == "not judged" { 600 } else { 1 }) {
            said.push(format!("{} {word}", words::fine_length(length)));
        }
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_outages_are_seen_and_long_ones_fill_the_bar() {
        assert_eq!(filled(1), 0.3);
        assert_eq!(filled(720), 1.0);
        assert_eq!(filled(5000), 1.0);
        assert!((filled(180) - 0.5).abs() < 0.001);
    }
}
