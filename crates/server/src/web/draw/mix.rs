//! All monitors by state in one bar; each state is wide enough to be seen, however few it has.

use maud::{Markup, html};

use crate::live::Shown;
use crate::web::summary::Counts;
use crate::web::{draw, links, parts, words};

const WIDTH: f64 = 556.0;
const GAP: f64 = 2.0;
const NARROWEST: f64 = 7.0;

/// From calm to loud, as the bar is read.
const ORDER: [Shown; 6] = [Shown::Up, Shown::Pending, Shown::Paused, Shown::Unknown, Shown::Degraded, Shown::Down];

pub(crate) fn mix(counts: &Counts) -> Markup {
    let present: Vec<(Shown, usize)> =
        ORDER.into_iter().map(|shown| (shown, counts.of(shown))).filter(|(_, count)| *count > 0).collect();
    let said: Vec<String> =
        present.iter().map(|(shown, count)| format!("{count} {}", shown.word().to_lowercase())).collect();
    let bars = bars(&present.iter().map(|(_, count)| *count).collect::<Vec<_>>());
    html! {
        div.end.mix {
            svg viewBox="0 0 556 10" preserveAspectRatio="none" role="img" aria-label=(said.join(", ")) {
                @for ((shown, _), (x, width)) in present.iter().zip(&bars) {
                    rect class={ "f-" (shown.class()) } x=(draw::number(*x)) width=(draw::number(*width)) height="10" {}
                }
            }
            div.mix-key {
                @for (shown, count) in present.iter().rev() {
                    a href=(links::filtered(&format!("state:{}", shown.name()))) {
                        (parts::small_glyph(shown.class())) (words::count(*count as u64)) " " (shown.word().to_lowercase())
                    }
                }
            }
        }
    }
}

/// Where each bar begins and how wide it is.
fn bars(counts: &[usize]) -> Vec<(f64, f64)> {
    let total: usize = counts.iter().sum();
    let room = WIDTH - GAP * (counts.len().saturating_sub(1)) as f64;
    let fair = |count: usize| room * count as f64 / total.max(1) as f64;
    // What the narrow ones need more than their share, the wide ones give in proportion.
    let narrow: f64 = counts.iter().filter(|&&count| fair(count) < NARROWEST).map(|_| NARROWEST).sum();
    let wide: f64 = counts.iter().filter(|&&count| fair(count) >= NARROWEST).map(|&count| fair(count)).sum();
    let scale = if wide > 0.0 { (room - narrow) / wide } else { 1.0 };
    let mut x = 0.0;
    counts
        .iter()
        .map(|&count| {
            let width = if fair(count) < NARROWEST { NARROWEST } else { fair(count) * scale };
            let bar = (x, width);
            x += width + GAP;
            bar
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_among_ten_thousand_is_seen_and_the_bar_stays_full() {
        let bars = bars(&[9_998, 1, 1]);
        assert_eq!(bars[1].1, NARROWEST);
        let (x, width) = bars[2];
        assert!((x + width - WIDTH).abs() < 0.01, "{bars:?}");
    }
}
