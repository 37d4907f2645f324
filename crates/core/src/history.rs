//! What a monitor's past amounts to: stretches of one verdict each, uptime, strips and days. Computed from
//! transitions and gaps alone, for any window, so that no sum is ever stored twice.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::Transition;
use crate::{Timestamp, Verdict};

/// A time during which one verdict held, `from` included, `to` not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    pub verdict: Verdict,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Stretch {
    pub fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}

/// The window `[from, to)` as stretches that follow each other without hole or overlap, neighbours differing.
///
/// `transitions` are, in order, those decided at or after `from`, and those decided after `to` too if they are
/// known: a stretch begins when its first sign was seen, not when it was confirmed. `initial` is the verdict
/// before the first of them. Empty if the window is.
pub fn spans(initial: Verdict, transitions: &[Transition], from: Timestamp, to: Timestamp) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let (mut verdict, mut begun) = (initial, from);
    for transition in transitions {
        // Never before the stretch it ends: clocks go back, and a late ping may be older than the silence it breaks.
        let begins = transition.since.min(transition.at).max(begun).min(to.max(from));
        push(&mut stretches, Stretch { verdict, from: begun, to: begins });
        (verdict, begun) = (transition.new, begins);
    }
    push(&mut stretches, Stretch { verdict, from: begun, to });
    stretches
}

/// The same stretches with `gaps`, times in which nobody looked, unknown. Gaps may overlap, in any order.
pub fn with_gaps(stretches: &[Stretch], gaps: &[(Timestamp, Timestamp)]) -> Vec<Stretch> {
    let mut gaps = gaps.to_vec();
    gaps.sort_unstable();
    let mut out = Vec::new();
    for stretch in stretches {
        let mut begun = stretch.from;
        for &(gone, back) in &gaps {
            let (gone, back) = (gone.max(begun), back.min(stretch.to));
            if gone < back {
                push(&mut out, Stretch { to: gone, from: begun, ..*stretch });
                push(&mut out, Stretch { verdict: Verdict::Unknown, from: gone, to: back });
                begun = back;
            }
        }
        push(&mut out, Stretch { from: begun, ..*stretch });
    }
    out
}

fn push(stretches: &mut Vec<Stretch>, next: Stretch) {
    if next.from >= next.to {
        return;
    }
    match stretches.last_mut() {
        Some(last) if last.verdict == next.verdict && last.to == next.from => last.to = next.to,
        _ => stretches.push(next),
    }
}

/// How long each verdict held. The parts make up the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uptime {
    pub up: Duration,
    pub degraded: Duration,
    pub down: Duration,
    /// Pending, paused, blind or away: not judged.
    pub unknown: Duration,
}

impl AddAssign<&Stretch> for Uptime {
    fn add_assign(&mut self, stretch: &Stretch) {
        *match stretch.verdict {
            Verdict::Up => &mut self.up,
            Verdict::Degraded => &mut self.degraded,
            Verdict::Down => &mut self.down,
            Verdict::Pending | Verdict::Unknown => &mut self.unknown,
        } += stretch.length();
    }
}

/// How long each verdict held in all of `stretches`.
pub fn uptime(stretches: &[Stretch]) -> Uptime {
    let mut uptime = Uptime::default();
    for stretch in stretches {
        uptime += stretch;
    }
    uptime
}

impl Uptime {
    /// The time that was judged; what is unknown counts neither for nor against.
    pub fn judged(&self) -> Duration {
        self.up + self.degraded + self.down
    }

    /// The part of the judged time in which it answered. `None` if nothing was judged.
    pub fn percent(&self) -> Option<Percent> {
        let judged = self.judged().as_millis();
        let good = (self.up + self.degraded).as_millis();
        // At most 10,000, and rounded down: a hundred per cent means that nothing at all was lost.
        (judged > 0).then(|| Percent(u16::try_from(good * 10_000 / judged).unwrap_or(10_000)))
    }
}

/// Hundredths of a per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u16);

impl Percent {
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// For machines: 99.98.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            10_000 => f.write_str("100%"),
            part => write!(f, "{}.{:02}%", part / 100, part % 100),
        }
    }
}

/// One piece of a strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub from: Timestamp,
    pub to: Timestamp,
    /// The worst that lasted for a tenth of the cell; down shows however short it was.
    pub verdict: Verdict,
    pub uptime: Uptime,
}

/// The window of `stretches`, which follow each other, cut into `cells` equal pieces.
pub fn strip(stretches: &[Stretch], cells: usize) -> Vec<Cell> {
    let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else { return Vec::new() };
    let (from, length) = (first.from, i128::from(last.to.as_millis() - first.from.as_millis()));
    let edge = |index: usize| from.shifted((length * index as i128 / cells as i128) as i64);
    (0..cells)
        .map(|index| {
            let (from, to) = (edge(index), edge(index + 1));
            let uptime = uptime(&within(stretches, from, to));
            Cell { from, to, verdict: shown(stretches, from, to), uptime }
        })
        .collect()
}

/// From worst to best, as a strip shows it. What is not judged hides nothing that is worse, and what is not yet
/// known hides nothing at all.
const WORST_FIRST: [Verdict; 5] = [Verdict::Down, Verdict::Degraded, Verdict::Unknown, Verdict::Up, Verdict::Pending];

fn shown(stretches: &[Stretch], from: Timestamp, to: Timestamp) -> Verdict {
    let inside = within(stretches, from, to);
    let lasted =
        |verdict| -> Duration { inside.iter().filter(|stretch| stretch.verdict == verdict).map(Stretch::length).sum() };
    let enough = |verdict| match lasted(verdict) {
        Duration::ZERO => false,
        _ if verdict == Verdict::Down => true,
        length => length * 10 >= to.since(from),
    };
    WORST_FIRST.into_iter().find(|verdict| enough(*verdict)).unwrap_or_else(|| {
        // A cell narrower than a millisecond holds nothing: it shows what held where it lies.
        stretches.iter().rev().find(|stretch| stretch.from <= from).map_or(Verdict::Pending, |stretch| stretch.verdict)
    })
}

/// The part of `stretches` between two moments.
fn within(stretches: &[Stretch], from: Timestamp, to: Timestamp) -> Vec<Stretch> {
    let begin = stretches.partition_point(|stretch| stretch.to <= from);
    let inside = stretches[begin..].iter().take_while(|stretch| stretch.from < to);
    inside.map(|stretch| Stretch { from: stretch.from.max(from), to: stretch.to.min(to), ..*stretch }).collect()
}

/// One bar of a status page: a calendar day, or the part of it that lies in the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The date where `offset` says we are: `2026-03-01`.
    pub date: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub uptime: Uptime,
    /// The worst of the day, however short; unknown or pending only if nothing was judged.
    pub worst: Verdict,
}

impl Day {
    /// Whether there is anything to show.
    pub fn is_judged(&self) -> bool {
        self.uptime.judged() > Duration::ZERO
    }

    /// Minutes down. A second lost is a minute shown, so that no outage disappears.
    pub fn minutes_lost(&self) -> u64 {
        minutes(self.uptime.down)
    }

    /// Minutes in which it answered slowly.
    pub fn minutes_slow(&self) -> u64 {
        minutes(self.uptime.degraded)
    }
}

fn minutes(length: Duration) -> u64 {
    u64::try_from(length.as_millis().div_ceil(60_000)).unwrap_or(u64::MAX)
}

/// The window of `stretches` by calendar days of a place so many seconds east of UTC.
pub fn days(stretches: &[Stretch], offset_secs: i32) -> Vec<Day> {
    const DAY_MS: i64 = 86_400_000;
    let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else { return Vec::new() };
    let offset_ms = i64::from(offset_secs) * 1000;
    let number = |moment: Timestamp| (moment.as_millis() + offset_ms).div_euclid(DAY_MS);
    let midnight = |number: i64| Timestamp::from_millis(number * DAY_MS - offset_ms);
    (number(first.from)..=number(last.to.shifted(-1)))
        .map(|number| {
            let (from, to) = (midnight(number).max(first.from), midnight(number + 1).min(last.to));
            let inside = within(stretches, from, to);
            let judged = [Verdict::Down, Verdict::Degraded, Verdict::Up, Verdict::Unknown, Verdict::Pending];
            let worst = judged.into_iter().find(|verdict| inside.iter().any(|stretch| stretch.verdict == *verdict));
            Day {
                date: midnight(number).shifted(offset_ms).to_jiff().strftime("%Y-%m-%d").to_string(),
                from,
                to,
                uptime: uptime(&inside),
                worst: worst.unwrap_or(Verdict::Pending),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Reason;

    fn minute(n: i64) -> Timestamp {
        Timestamp::from_secs(n * 60)
    }

    fn moved(new: Verdict, since: i64, at: i64) -> Transition {
        let reason = Reason::new("test", "");
        Transition { seq: 0, at: minute(at), since: minute(since), old: Verdict::Pending, new, reason, incident: None }
    }

    fn drawn(stretches: &[Stretch]) -> String {
        let each = stretches.iter().map(|stretch| {
            format!("{} {}-{}", stretch.verdict.name(), stretch.from.as_secs() / 60, stretch.to.as_secs() / 60)
        });
        each.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn an_outage_begins_with_its_first_failure_not_with_its_confirmation() {
        let told = [moved(Verdict::Down, 10, 12), moved(Verdict::Up, 20, 21)];
        assert_eq!(drawn(&spans(Verdict::Up, &told, minute(0), minute(30))), "up 0-10, down 10-20, up 20-30");
        // Confirmed inside the window, begun before it.
        assert_eq!(drawn(&spans(Verdict::Up, &told, minute(11), minute(15))), "down 11-15");
        // Begun inside, confirmed after it.
        assert_eq!(drawn(&spans(Verdict::Up, &told, minute(0), minute(11))), "up 0-10, down 10-11");
        assert_eq!(drawn(&spans(Verdict::Up, &[], minute(3), minute(3))), "");
    }

    #[test]
    fn stretches_never_overlap_whatever_the_clock_did() {
        let told = [moved(Verdict::Down, 10, 12), moved(Verdict::Up, 9, 13), moved(Verdict::Down, -500, 14)];
        assert_eq!(drawn(&spans(Verdict::Up, &told, minute(0), minute(30))), "up 0-10, down 10-30");
    }

    #[test]
    fn nobody_looked_in_a_gap() {
        let stretches = spans(Verdict::Up, &[moved(Verdict::Down, 10, 12)], minute(0), minute(30));
        let gaps = [(minute(25), minute(90)), (minute(8), minute(12)), (minute(9), minute(11)), (minute(5), minute(5))];
        assert_eq!(drawn(&with_gaps(&stretches, &gaps)), "up 0-8, unknown 8-12, down 12-25, unknown 25-30");
        assert_eq!(with_gaps(&stretches, &[]), stretches);
    }

    #[test]
    fn a_hundred_per_cent_means_that_nothing_was_lost() {
        let of = |good_ms, lost_ms| Uptime {
            up: Duration::from_millis(good_ms),
            down: Duration::from_millis(lost_ms),
            ..Uptime::default()
        };
        let year = 365 * 86_400_000;
        assert_eq!(of(year, 0).percent().unwrap().to_string(), "100%");
        assert_eq!(of(year, 1).percent().unwrap().to_string(), "99.99%");
        assert_eq!(of(999, 1).percent().unwrap().to_string(), "99.90%");
        assert_eq!(of(2, 1).percent().unwrap().to_string(), "66.66%");
        assert_eq!(of(0, 1).percent().unwrap().to_string(), "0.00%");
        assert_eq!(of(0, 0).percent(), None);
        assert_eq!(of(2, 1).percent().unwrap().value(), 66.66);
    }

    #[test]
    fn a_cell_shows_the_worst_that_lasted_but_down_always() {
        let stretch = |verdict, from, to| Stretch { verdict, from: minute(from), to: minute(to) };
        let stretches = [
            stretch(Verdict::Pending, 0, 50),
            stretch(Verdict::Up, 50, 195),
            stretch(Verdict::Degraded, 195, 215),
            stretch(Verdict::Up, 215, 395),
            stretch(Verdict::Unknown, 395, 410),
            stretch(Verdict::Down, 410, 411),
            stretch(Verdict::Up, 411, 500),
        ];
        let cells: Vec<Verdict> = strip(&stretches, 5).iter().map(|cell| cell.verdict).collect();
        // Slow for 5 of the second hundred minutes is too short to show, 15 of the third is not.
        assert_eq!(cells, [Verdict::Up, Verdict::Up, Verdict::Degraded, Verdict::Up, Verdict::Down]);
        assert_eq!(strip(&[], 5), []);
        assert_eq!(strip(&stretches, 0), []);
    }

    #[test]
    fn days_are_those_of_the_calendar_where_people_are() {
        let from: Timestamp = "2026-02-28T12:00:00Z".parse().unwrap();
        let to: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        let broke: Timestamp = "2026-02-28T23:10:30Z".parse().unwrap();
        let stretches = [
            Stretch { verdict: Verdict::Unknown, from, to: broke - Duration::from_secs(60) },
            Stretch { verdict: Verdict::Down, from: broke - Duration::from_secs(60), to: broke },
            Stretch { verdict: Verdict::Up, from: broke, to },
        ];
        let told = |offset_hours: i32| -> Vec<(String, u64, bool, Verdict)> {
            let days = days(&stretches, offset_hours * 3600);
            days.into_iter().map(|day| (day.date.clone(), day.minutes_lost(), day.is_judged(), day.worst)).collect()
        };
        let day = |date: &str, lost, judged, worst| (date.to_owned(), lost, judged, worst);
        assert_eq!(told(0), [day("2026-02-28", 1, true, Verdict::Down), day("2026-03-01", 0, true, Verdict::Up)]);
        // An hour further east it was already March, and the second of March has begun.
        assert_eq!(
            told(1),
            [
                day("2026-02-28", 0, false, Verdict::Unknown),
                day("2026-03-01", 1, true, Verdict::Down),
                day("2026-03-02", 0, true, Verdict::Up)
            ]
        );
    }

    /// Transitions as the past may give them, the clock leaping or not: `at` never goes back, `since` may be anything.
    fn any_past() -> impl Strategy<Value = Vec<Transition>> {
        let step = (0..5usize, 0..40i64, -20..30i64);
        prop::collection::vec(step, 0..12).prop_map(|steps| {
            let mut at = 0;
            let moves = steps.into_iter().map(|(verdict, later, earlier)| {
                at += later;
                moved(Verdict::ALL[verdict], at - earlier, at)
            });
            moves.collect()
        })
    }

    /// The verdict of one minute, in the most obvious way: the last that had begun by then, where a beginning
    /// counts from its first sign but not before the one before it began.
    fn verdict_in(initial: Verdict, past: &[Transition], from: i64, at: i64) -> Verdict {
        let mut latest = from;
        let mut verdict = initial;
        for transition in past {
            latest = latest.max(transition.since.min(transition.at).as_secs() / 60);
            if latest <= at {
                verdict = transition.new;
            }
        }
        verdict
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        /// I14: the parts make up the window, and equal a count minute by minute.
        #[test]
        fn the_parts_make_up_the_window(
            past in any_past(),
            from in -10..200i64,
            length in 0..300i64,
            gaps in prop::collection::vec((-20..400i64, 0..60i64), 0..4),
            cells in 1..40usize,
        ) {
            let to = from + length;
            let decided_later: Vec<Transition> = past.iter().filter(|it| it.at >= minute(from)).cloned().collect();
            let before = past.len() - decided_later.len();
            let initial = before.checked_sub(1).map_or(Verdict::Pending, |last| past[last].new);
            let plain = spans(initial, &decided_later, minute(from), minute(to));
            let gaps: Vec<_> = gaps.into_iter().map(|(gone, length)| (minute(gone), minute(gone + length))).collect();
            let stretches = with_gaps(&plain, &gaps);

            let mut counted = Uptime::default();
            for at in from..to {
                let away = gaps.iter().any(|(gone, back)| *gone <= minute(at) && minute(at) < *back);
                let verdict = if away { Verdict::Unknown } else { verdict_in(initial, &decided_later, from, at) };
                counted += &Stretch { verdict, from: minute(at), to: minute(at + 1) };
                let found: Vec<_> = stretches.iter().filter(|it| it.from <= minute(at) && minute(at) < it.to).collect();
                prop_assert_eq!(found.len(), 1, "minute {} of {}", at, drawn(&stretches));
                prop_assert_eq!(found[0].verdict, verdict, "minute {} of {}", at, drawn(&stretches));
            }
            let total = uptime(&stretches);
            prop_assert_eq!(total, counted);
            prop_assert_eq!(total.judged() + total.unknown, Duration::from_secs(length as u64 * 60));
            prop_assert_eq!(total.percent().is_some_and(|it| it.hundredths() == 10_000), total.judged() > Duration::ZERO && total.down.is_zero());
            for (one, next) in stretches.iter().zip(stretches.iter().skip(1)) {
                prop_assert!(one.to == next.from && one.verdict != next.verdict, "{}", drawn(&stretches));
            }

            // Strips and days are the same time, cut otherwise.
            let mut of_cells = Uptime::default();
            for cell in strip(&stretches, cells) {
                of_cells.up += cell.uptime.up;
                of_cells.degraded += cell.uptime.degraded;
                of_cells.down += cell.uptime.down;
                of_cells.unknown += cell.uptime.unknown;
                prop_assert_eq!(cell.verdict == Verdict::Down, !cell.uptime.down.is_zero());
            }
            prop_assert_eq!(of_cells, total);
            let mut of_days = Uptime::default();
            for day in days(&stretches, 3600 * (cells as i32 % 27 - 13)) {
                of_days.up += day.uptime.up;
                of_days.degraded += day.uptime.degraded;
                of_days.down += day.uptime.down;
                of_days.unknown += day.uptime.unknown;
                prop_assert_eq!(day.worst == Verdict::Down, day.minutes_lost() > 0);
            }
            prop_assert_eq!(of_days, total);
        }
    }
}
