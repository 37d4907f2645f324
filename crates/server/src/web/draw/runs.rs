//! The runs of a job: a stem for each, as high as it ran long, and a mark where one is missing. Like the response
//! chart it is sharp at any width without a script.

use std::time::Duration;

use maud::{Markup, html};
use watchbell_core::Timestamp;

use crate::web::draw;
use crate::web::words::{self, Calendar};

/// One run, or one that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub at: Timestamp,
    /// `None`: nobody heard its start.
    pub took: Option<Duration>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    Failed,
    /// It did not come, or not in time.
    Missed,
}

/// Oldest first.
pub(crate) struct Runs<'a> {
    pub runs: &'a [Run],
    pub from: Timestamp,
    pub to: Timestamp,
    pub calendar: &'a Calendar,
}

impl Runs<'_> {
    pub(crate) fn draw(&self) -> Markup {
        let top = self.top();
        html! {
            div.chart {
                svg.ys aria-hidden="true" {
                    @for step in [0, 1, 2, 3, 4] {
                        text x="100%" dx="-12" y=(draw::percent(1.0 - f64::from(step) / 4.0)) dy="4" text-anchor="end" {
                            @if step == 0 { "0" } @else { (words::length(top.mul_f64(f64::from(step) / 4.0))) }
                        }
                    }
                }
                svg.plot.runs role="img" aria-label=(self.label()) {
                    @for step in [0, 1, 2, 3, 4] {
                        @let y = draw::percent(1.0 - f64::from(step) / 4.0);
                        line.grid.base[step == 0] x1="0" x2="100%" y1=(y) y2=(y) {}
                    }
                    @for run in self.runs { (self.stem(run, top)) }
                    @if self.runs.is_empty() { text.none x="50%" y="50%" text-anchor="middle" { "No calls yet" } }
                }
                svg.xs aria-hidden="true" {
                    @for quarter in [0_u32, 1, 2, 3] {
                        @let at = self.from + (self.to.since(self.from) / 4) * quarter;
                        text.hide-s[quarter % 2 == 1] x=(draw::percent(f64::from(quarter) / 4.0)) y="19" text-anchor=(if quarter == 0 { "start" } else { "middle" }) {
                            (self.calendar.short(at))
                        }
                    }
                    text x="100%" y="19" text-anchor="end" { "now" }
                }
            }
        }
    }

    fn stem(&self, run: &Run, top: Duration) -> Markup {
        let whole = self.to.since(self.from).as_secs_f64().max(0.001);
        let x = draw::percent((run.at.since(self.from).as_secs_f64() / whole).clamp(0.0, 1.0));
        // Whose start nobody heard stands as a short mark.
        let height = run.took.map_or(0.03, |took| (took.as_secs_f64() / top.as_secs_f64()).clamp(0.01, 1.0));
        let y = draw::percent(1.0 - height);
        let said = format!("{}: {}", self.calendar.moment(run.at), told(run));
        html! {
            @match run.outcome {
                Outcome::Missed => {
                    g.run-missed { title { (said) } line x1=(x) x2=(x) y1="0" y2="100%" {} circle cx=(x) cy="100%" r="4.5" {} }
                },
                outcome => {
                    g class=(if outcome == Outcome::Failed { "run-failed" } else { "run" }) {
                        title { (said) }
                        line x1=(x) x2=(x) y1="100%" y2=(y) {}
                        circle cx=(x) cy=(y) r="3" {}
                    }
                },
            }
        }
    }

    /// The longest run and a little.
    fn top(&self) -> Duration {
        let longest = self.runs.iter().filter_map(|run| run.took).max().unwrap_or_default();
        // At least a second for each of the four lines, so that their labels differ.
        longest.mul_f64(1.1).max(Duration::from_secs(4))
    }

    fn label(&self) -> String {
        let count = |outcome| self.runs.iter().filter(|run| run.outcome == outcome).count();
        let mut label = words::counted(count(Outcome::Good), "good run", "good runs");
        for (outcome, word) in [(Outcome::Failed, "failed"), (Outcome::Missed, "missing")] {
            if count(outcome) > 0 {
                label.push_str(&format!(", {} {word}", count(outcome)));
            }
        }
        if let Some(usual) = usual(self.runs) {
            label.push_str(&format!(", usually {}", words::length(usual)));
        }
        label
    }
}

/// How long a good run usually takes: the median.
pub(crate) fn usual(runs: &[Run]) -> Option<Duration> {
    let mut good: Vec<Duration> =
        runs.iter().filter(|run| run.outcome == Outcome::Good).filter_map(|run| run.took).collect();
    good.sort_unstable();
    good.get(good.len() / 2).copied()
}

fn told(run: &Run) -> String {
    let took = || run.took.map(|took| format!(" after {}", words::fine_length(took))).unwrap_or_default();
    match run.outcome {
        Outcome::Good => format!("done{}", took()),
        Outcome::Failed => format!("failed{}", took()),
        Outcome::Missed => "it did not come".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_773_108_082);

    fn run(ago: u64, took: Option<u64>, outcome: Outcome) -> Run {
        Run { at: NOW - Duration::from_secs(ago), took: took.map(Duration::from_secs), outcome }
    }

    #[test]
    fn every_run_is_drawn_and_told_in_words() {
        let calendar = Calendar { now: NOW, zone: jiff::tz::TimeZone::UTC };
        let runs = [
            run(3000, Some(60), Outcome::Good),
            run(2000, Some(90), Outcome::Failed),
            run(1000, None, Outcome::Missed),
            run(10, Some(62), Outcome::Good),
        ];
        let chart = Runs { runs: &runs, from: NOW - Duration::from_secs(3600), to: NOW, calendar: &calendar };
        let text = chart.draw().into_string();
        assert!(text.contains("2 good runs, 1 failed, 1 missing, usually 1\u{a0}min"), "{text}");
        assert_eq!(text.matches("class=\"run\"").count(), 2);
        assert!(text.contains("run-failed") && text.contains("run-missed"));
        assert_eq!(text.matches("<title>").count(), 4);
    }

    #[test]
    fn what_is_usual_is_a_run_that_was() {
        let runs = [run(3, Some(5), Outcome::Good), run(2, Some(900), Outcome::Failed), run(1, Some(7), Outcome::Good)];
        assert_eq!(usual(&runs), Some(Duration::from_secs(7)));
        assert_eq!(usual(&[]), None);
    }
}
