//! A strip: equal cells of time in one line, one path per state. Weight is severity, so that trouble stands out of
//! the line without any colour; a calm strip is a single short path, whatever its length.

use std::fmt::Write;

use maud::{Markup, html};
use watchbell_core::Verdict;

/// Cells are this far apart, the cut between them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pitch {
    Table = 4,
    Card = 5,
}

/// Each state's class, in the order they are drawn: what is worse lies on top.
const LETTERS: [(char, &[Verdict]); 5] = [
    ('u', &[Verdict::Up]),
    ('p', &[Verdict::Pending]),
    ('n', &[Verdict::Unknown]),
    ('g', &[Verdict::Degraded]),
    ('d', &[Verdict::Down]),
];

pub(crate) fn strip(cells: &[Verdict], pitch: Pitch, label: &str) -> Markup {
    let step = pitch as usize;
    let width = (cells.len() * step).saturating_sub(1);
    html! {
        svg.strip.s5[pitch == Pitch::Card] viewBox={ "0 0 " (width) " 22" } width=(width) height="22"
            preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (letter, path) in paths(cells, step) { path class=(letter) d=(path) {} }
        }
    }
}

/// Runs of equal cells as horizontal lines.
fn paths(cells: &[Verdict], step: usize) -> Vec<(char, String)> {
    let mut paths = Vec::new();
    for (letter, verdicts) in LETTERS {
        let mut path = String::new();
        let mut at = 0;
        for run in cells.chunk_by(|a, b| a == b) {
            if verdicts.contains(&run[0]) {
                // Writing to a string does not fail.
                let _ = write!(path, "M{} 11h{}", at * step, run.len() * step - 1);
            }
            at += run.len();
        }
        if !path.is_empty() {
            paths.push((letter, path));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calm_day_is_one_short_path() {
        assert_eq!(paths(&[Verdict::Up; 48], 5), [('u', "M0 11h239".to_owned())]);
        let drawn = strip(&[Verdict::Up; 48], Pitch::Card, "Last 24 hours: 100% up").into_string();
        assert!(drawn.contains(r#"viewBox="0 0 239 22""#) && drawn.contains("strip s5"), "{drawn}");
    }

    #[test]
    fn runs_of_each_state_share_a_path_and_trouble_lies_on_top() {
        use Verdict::{Degraded, Down, Pending, Unknown, Up};
        let drawn = paths(&[Pending, Up, Up, Degraded, Down, Up, Unknown], 4);
        let expected =
            [('u', "M4 11h7M20 11h3"), ('p', "M0 11h3"), ('n', "M24 11h3"), ('g', "M12 11h3"), ('d', "M16 11h3")];
        assert_eq!(drawn, expected.map(|(letter, path)| (letter, path.to_owned())));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(paths(&[], 4).is_empty());
    }
}
