//! Where the time of one check went, phase by phase, as a table whose bars stand one after the other.

use maud::{Markup, html};
use watchbell_core::Phases;

use crate::web::{draw, parts, words};
use std::time::Duration;

/// The classes of the five phases, in order of time.
const PHASES: [(&str, &str); 5] =
    [("DNS", "ph1"), ("Connect", "ph2"), ("TLS", "ph3"), ("Wait", "ph4"), ("Transfer", "ph5")];

/// Whether a failure of this name broke off the last phase. Other failures are whole answers that were not good.
pub(crate) fn ends_in_a_phase(code: &str) -> bool {
    code.starts_with("tls")
        || matches!(code, "name" | "refused" | "unreachable" | "timeout" | "reset" | "proxy" | "egress")
}

/// `usual` are the same monitor's phases when all is well; `failed` says that the check ended in its last phase.
pub(crate) fn waterfall(phases: &Phases, took: Duration, usual: Option<&Phases>, failed: bool, slim: bool) -> Markup {
    let bars = bars(phases);
    let usual_bars = usual.map(self::bars).unwrap_or_default();
    let sum = |bars: &[(&str, u64, u64)]| bars.last().map_or(0, |(_, begin, length)| begin + length);
    let whole = sum(&bars).max(sum(&usual_bars)).max(1) as f64;
    let last = bars.last().map(|(name, ..)| *name);
    html! {
        table.fall.slim[slim] {
            caption.sr { "Phases of the check" }
            colgroup { col.w-phase; col; col.w-ms; @if usual.is_some() { col.w-vs; } }
            tbody {
                @for (name, begin, length) in &bars {
                    @let class = PHASES.iter().find(|(known, _)| known == name).map_or("ph1", |(_, class)| class);
                    @let is_bad = failed && last == Some(name);
                    @let usually = usual_bars.iter().find(|(known, ..)| known == name);
                    tr.bad[is_bad] {
                        th scope="row" { (name) }
                        td.bar {
                            svg aria-hidden="true" {
                                rect.track width="100%" height="14" rx="3" {}
                                @if let Some((_, begin, length)) = usually {
                                    rect.ghost x=(draw::percent(*begin as f64 / whole)) y="2.5"
                                        width=(draw::percent((*length as f64 / whole).max(0.004))) height="9" rx="2" {}
                                }
                                rect class=(if is_bad { "phx" } else { class }) x=(draw::percent((*begin as f64 / whole).min(0.994)))
                                    width=(draw::percent((*length as f64 / whole).max(0.006))) height="14" rx="2" {}
                            }
                        }
                        td.ms.num { (words::millis(Duration::from_micros(*length))) }
                        @if usual.is_some() {
                            td.vs.num { @if let Some((_, _, length)) = usually { "usually " (short_millis(*length)) } }
                        }
                    }
                }
                @if bars.is_empty() { tr { td.i3 colspan="4" { "This check has no phases." } } }
            }
            tfoot {
                tr {
                    th scope="row" { "Total" }
                    td {}
                    td.ms.num { (words::millis(took)) }
                    @if usual.is_some() {
                        td.vs.num { @if sum(&usual_bars) > 0 { "usually " (short_millis(sum(&usual_bars))) } }
                    }
                }
            }
        }
        @if failed && let Some(name) = last {
            p.note.mt12 {
                (parts::icon("eye"))
                span { "It ended while " b { (doing(name)) } ", after " (words::latency(took)) "." }
            }
        }
    }
}

fn doing(phase: &str) -> &'static str {
    match phase {
        "DNS" => "the name was looked up",
        "Connect" => "the connection was opened",
        "TLS" => "the TLS handshake went on",
        "Wait" => "we waited for the first byte of the answer",
        _ => "the answer was read",
    }
}

/// A column that says "ms" in its neighbour: digits alone.
fn short_millis(micros: u64) -> String {
    match micros {
        ..1000 => "<\u{a0}1".to_owned(),
        micros => words::count(micros / 1000),
    }
}

/// Name, begin and length in microseconds: phases follow each other.
fn bars(phases: &Phases) -> Vec<(&'static str, u64, u64)> {
    let mut begin = 0;
    phases
        .each()
        .map(|(name, micros)| {
            let bar = (name, begin, u64::from(micros));
            begin += u64::from(micros);
            bar
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other_and_the_failed_one_is_told() {
        let phases = Phases { dns_us: Some(2000), connect_us: Some(3000), wait_us: Some(5000), ..Phases::default() };
        assert_eq!(bars(&phases), [("DNS", 0, 2000), ("Connect", 2000, 3000), ("Wait", 5000, 5000)]);
        let drawn = waterfall(&phases, Duration::from_millis(10), None, true, false).into_string();
        assert!(drawn.contains(r#"<rect class="ph2" x="20%" width="30%""#), "{drawn}");
        assert!(drawn.contains(r#"<rect class="phx" x="50%" width="50%""#), "{drawn}");
        assert!(drawn.contains("we waited for the first byte"), "{drawn}");
    }
}
