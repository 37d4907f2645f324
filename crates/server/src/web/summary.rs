//! Is anything wrong, since when, who knows: the three answers, in words, from the committed view of all monitors.
//! The headline, the watch box, the browser's title and the favicon all say the same because they come from here.

use std::time::Duration;

use watchbell_core::Timestamp;

use super::words;
use crate::live::{Shown, Watched};

/// How many monitors are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([usize; Shown::ALL.len()]);

impl Counts {
    pub(crate) fn of(&self, shown: Shown) -> usize {
        self.0[shown as usize]
    }

    pub(crate) fn all(&self) -> usize {
        self.0.iter().sum()
    }

    pub(crate) fn add(&mut self, shown: Shown) {
        self.0[shown as usize] += 1;
    }

    /// The worst there is, as the bell shows it; what is paused or new disturbs nobody.
    pub(crate) fn worst(&self) -> Shown {
        [Shown::Down, Shown::Degraded, Shown::Unknown]
            .into_iter()
            .find(|shown| self.of(*shown) > 0)
            .unwrap_or(Shown::Up)
    }
}

/// The whole house in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub counts: Counts,
    /// "2 down, 1 degraded"
    pub headline: String,
    /// "Longest 31 min. Ada Lindqvist has one, nobody has the other."
    pub second: String,
    /// For the watch box: "31 min · 1 without owner".
    pub short: String,
    /// Our own side fails: nothing is known of anything.
    pub blind: bool,
}

impl Summary {
    pub(crate) fn of(monitors: &[Watched], now: Timestamp) -> Self {
        let mut counts = Counts::default();
        for watched in monitors {
            counts.add(watched.shown());
        }
        let blind = blind_since(monitors, &counts);
        let down: Vec<&Watched> = monitors.iter().filter(|it| it.shown() == Shown::Down).collect();
        let longest = |shown: Shown| -> Option<&Watched> {
            monitors.iter().filter(|it| it.shown() == shown).min_by_key(|it| it.state.since)
        };
        let lasted = |watched: &Watched| words::length(now.since(watched.state.since));
        let (headline, second, short) = match (blind, counts.worst()) {
            _ if monitors.is_empty() => (
                "Nothing is watched yet".to_owned(),
                "Add the first monitor to begin.".to_owned(),
                "no monitors yet".to_owned(),
            ),
            (Some(since), _) => (
                "We are blind".to_owned(),
                format!("Our own side fails for {}. Nothing counts as down.", words::length(now.since(since))),
                format!("for {}", words::length(now.since(since))),
            ),
            (None, Shown::Down) => trouble(&down, &counts, now),
            (None, Shown::Degraded) => {
                let (count, first) = (counts.of(Shown::Degraded), longest(Shown::Degraded));
                let since = first.map(lasted).unwrap_or_default();
                let second = match (count, first) {
                    (1, Some(only)) => format!("{} is slow for {since}.", only.fixed.title()),
                    _ => format!("Longest {since}. Nothing is down."),
                };
                (with_unknown(format!("{count} degraded"), &counts), second, since)
            }
            (None, Shown::Unknown) => {
                let (count, first) = (counts.of(Shown::Unknown), longest(Shown::Unknown));
                let since = first.map(lasted).unwrap_or_default();
                let second = match (count, first) {
                    (1, Some(only)) => format!("{} could not be asked for {since}.", only.fixed.title()),
                    _ => format!("Could not be asked, longest {since}. Nothing counts as down."),
                };
                (format!("{count} unknown"), second, since)
            }
            (None, _) => calm(monitors, &counts, now),
        };
        Self { counts, headline, second, short, blind: blind.is_some() }
    }

    /// The class of the worst state, for the bell and the favicon.
    pub(crate) fn class(&self) -> &'static str {
        self.counts.worst().class()
    }

    /// How many need somebody: the number in the browser's title.
    pub(crate) fn problems(&self) -> usize {
        [Shown::Down, Shown::Degraded].into_iter().map(|shown| self.counts.of(shown)).sum()
    }
}

/// Since when our own side fails, if it does: several monitors, every one of them unknown.
fn blind_since(monitors: &[Watched], counts: &Counts) -> Option<Timestamp> {
    let unknown = counts.of(Shown::Unknown);
    let seen = counts.of(Shown::Up) + counts.of(Shown::Degraded) + counts.of(Shown::Down);
    if unknown < 2 || seen > 0 {
        return None;
    }
    monitors.iter().filter(|it| it.shown() == Shown::Unknown).map(|it| it.state.since).min()
}

fn trouble(down: &[&Watched], counts: &Counts, now: Timestamp) -> (String, String, String) {
    let longest = down.iter().map(|it| now.since(it.state.since)).max().unwrap_or_default();
    let longest = words::length(longest);
    let unowned = down.iter().filter(|it| it.acknowledged.is_none()).count();
    let mut owners: Vec<&str> = Vec::new();
    for watched in down {
        if let Some(acknowledged) = &watched.acknowledged
            && !owners.contains(&acknowledged.by.as_str())
        {
            owners.push(&acknowledged.by);
        }
    }
    let have = |owners: &[&str]| if owners.len() == 1 { "has" } else { "have" };
    let mut headline = format!("{} down", words::count(down.len() as u64));
    if unowned == 0 {
        headline.push_str(", all in hand");
        let what = if down.len() == 1 { "it" } else { "them" };
        let second = format!("{} {} {what}. Longest {longest}.", words::listed(&owners), have(&owners));
        return (headline, second, format!("{longest} · all in hand"));
    }
    if counts.of(Shown::Degraded) > 0 {
        headline.push_str(&format!(", {} degraded", words::count(counts.of(Shown::Degraded) as u64)));
    }
    let owned = down.len() - unowned;
    let who = match (owned, unowned) {
        (0, 1) => "Nobody has it.".to_owned(),
        (0, _) => "Nobody has any of them.".to_owned(),
        (1, 1) => format!("{} has one, nobody has the other.", words::listed(&owners)),
        (owned, unowned) => {
            format!("{} {} {owned}, nobody has the other {unowned}.", words::listed(&owners), have(&owners))
        }
    };
    (
        headline,
        format!("Longest {longest}. {who}"),
        format!("{longest} · {} without owner", words::count(unowned as u64)),
    )
}

fn with_unknown(mut headline: String, counts: &Counts) -> String {
    if counts.of(Shown::Unknown) > 0 {
        headline.push_str(&format!(", {} unknown", counts.of(Shown::Unknown)));
    }
    headline
}

fn calm(monitors: &[Watched], counts: &Counts, now: Timestamp) -> (String, String, String) {
    let up = counts.of(Shown::Up);
    let (paused, new) = (counts.of(Shown::Paused), counts.of(Shown::Pending));
    if up == 0 && paused > 0 && new == 0 {
        let second = format!("{} paused. Nobody looks.", words::counted(paused, "monitor is", "monitors are"));
        return ("Everything is paused".to_owned(), second, "nobody looks".to_owned());
    }
    if up == 0 {
        let second = format!("{} for the first check.", words::counted(new, "monitor waits", "monitors wait"));
        return ("Just begun".to_owned(), second, "waiting for first checks".to_owned());
    }
    let mut second = format!("{} up.", words::counted(up, "monitor", "monitors"));
    let mut short = words::counted(up, "monitor up", "monitors up");
    // Quiet since the last time anything was wrong, or since the first monitor was made.
    let made = monitors.iter().map(|it| it.fixed.created_at).min().unwrap_or(now);
    let troubled = |watched: &Watched| {
        use watchbell_core::Verdict::{Degraded, Down};
        let ended = watched.history.iter().rev().find(|it| matches!(it.old, Down | Degraded));
        ended.map(|it| it.at)
    };
    let quiet = now.since(monitors.iter().filter_map(troubled).max().unwrap_or(made));
    if quiet >= Duration::from_secs(60) {
        second.push_str(&format!(" Quiet for {}.", words::length(quiet)));
        short = format!("quiet for {}", words::length(quiet));
    }
    for (count, word) in [(new, "new"), (paused, "paused")] {
        if count > 0 {
            second.push_str(&format!(" {} {word}.", words::count(count as u64)));
        }
    }
    ("All's well".to_owned(), second, short)
}

/// What needs somebody, in order: down that nobody has by age, down that somebody has, degraded, unknown.
pub(crate) fn problems(monitors: &[Watched]) -> Vec<&Watched> {
    let mut problems: Vec<&Watched> =
        monitors.iter().filter(|it| matches!(it.shown(), Shown::Down | Shown::Degraded | Shown::Unknown)).collect();
    problems.sort_by_key(|it| {
        let shown = it.shown();
        (shown, shown == Shown::Down && it.acknowledged.is_some(), it.state.since)
    });
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing::sample::{Sample, minutes};

    fn said(samples: Vec<Sample>) -> (String, String) {
        let monitors: Vec<Watched> = samples.into_iter().map(Sample::build).collect();
        let summary = Summary::of(&monitors, Sample::NOW);
        (summary.headline.replace('\u{a0}', " "), summary.second.replace('\u{a0}', " "))
    }

    #[test]
    fn the_headline_says_what_is_wrong_since_when_and_who_knows() {
        let up = || Sample::up("a");
        let cases: Vec<(Vec<Sample>, &str, &str)> = vec![
            (vec![], "Nothing is watched yet", "Add the first monitor to begin."),
            (vec![up(), Sample::up("b")], "All's well", "2 monitors up. Quiet for 1 d."),
            (vec![up(), Sample::down("b", minutes(31))], "1 down", "Longest 31 min. Nobody has it."),
            (
                vec![
                    Sample::down("a", minutes(31)),
                    Sample::down("b", minutes(14)).owned_by("Ada Lindqvist"),
                    Sample::degraded("c", minutes(10)),
                ],
                "2 down, 1 degraded",
                "Longest 31 min. Ada Lindqvist has one, nobody has the other.",
            ),
            (
                vec![
                    Sample::down("a", minutes(31)).owned_by("Ada Lindqvist"),
                    Sample::down("b", minutes(14)).owned_by("Tom Okafor"),
                    up(),
                ],
                "2 down, all in hand",
                "Ada Lindqvist and Tom Okafor have them. Longest 31 min.",
            ),
            (
                vec![up(), Sample::degraded("Patient portal", minutes(10))],
                "1 degraded",
                "Patient portal is slow for 10 min.",
            ),
            (vec![up(), Sample::unknown("b", minutes(96))], "1 unknown", "b could not be asked for 1 h 36 min."),
            (
                vec![Sample::unknown("a", minutes(3)), Sample::unknown("b", minutes(3))],
                "We are blind",
                "Our own side fails for 3 min. Nothing counts as down.",
            ),
            (vec![Sample::up("a").paused()], "Everything is paused", "1 monitor is paused. Nobody looks."),
            (vec![Sample::pending("a")], "Just begun", "1 monitor waits for the first check."),
        ];
        for (samples, headline, second) in cases {
            assert_eq!(said(samples), (headline.to_owned(), second.to_owned()));
        }
    }

    #[test]
    fn what_nobody_has_stands_first_and_the_oldest_before_the_newer() {
        let monitors: Vec<Watched> = vec![
            Sample::degraded("slow", minutes(90)).build(),
            Sample::up("fine").build(),
            Sample::down("owned", minutes(80)).owned_by("Ada").build(),
            Sample::down("young", minutes(2)).build(),
            Sample::down("old", minutes(30)).build(),
            Sample::unknown("blind", minutes(99)).build(),
        ];
        let order: Vec<&str> = problems(&monitors).iter().map(|it| it.fixed.slug.as_str()).collect();
        assert_eq!(order, ["old", "young", "owned", "slow", "blind"]);
    }
}
