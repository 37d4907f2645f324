//! What lies behind a monitor, ready to be drawn: its transitions with the times in which nobody looked.

use std::time::Duration;

use watchbell_core::history::{self, Cell, Day, Percent, Stretch, Uptime};
use watchbell_core::{Timestamp, Verdict};
use watchbell_store::{Gap, GapScope};

use crate::live::Watched;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Half an hour each.
const STRIP_CELLS: usize = 48;

/// The window `[from, to)` as stretches of one verdict each.
pub(crate) fn stretches(watched: &Watched, gaps: &[Gap], from: Timestamp, to: Timestamp) -> Vec<Stretch> {
    let first = watched.history.partition_point(|transition| transition.at < from);
    let (before, inside) = watched.history.split_at(first);
    let initial = match (before.last(), inside.first()) {
        (Some(last), _) => last.new,
        (None, Some(next)) => next.old,
        (None, None) => watched.state.verdict,
    };
    let known = history::spans(initial, inside, from, to);
    let gaps: Vec<(Timestamp, Timestamp)> =
        gaps.iter().filter(|gap| concerns(gap, watched)).map(|gap| (gap.from, gap.to)).collect();
    let known = history::with_gaps(&known, &gaps);
    // Before it was made there was nothing to know.
    let made = watched.fixed.created_at;
    if made <= from {
        return known;
    }
    let mut out = vec![Stretch { verdict: Verdict::Pending, from, to: made.min(to) }];
    out.extend(known.into_iter().filter(|it| it.to > made).map(|it| Stretch { from: it.from.max(made), ..it }));
    out
}

fn concerns(gap: &Gap, watched: &Watched) -> bool {
    match gap.scope {
        GapScope::Everything => true,
        GapScope::Probes => watched.fixed.spec.probe.is_some(),
        GapScope::Heartbeats => watched.fixed.spec.heartbeat.is_some(),
        GapScope::Monitor(id) => id == watched.fixed.id,
    }
}

/// The last 24 hours in 48 cells.
pub(crate) fn strip(watched: &Watched, gaps: &[Gap], now: Timestamp) -> Vec<Cell> {
    history::strip(&stretches(watched, gaps, now - DAY, now), STRIP_CELLS)
}

/// How the last `length` was spent.
pub(crate) fn uptime(watched: &Watched, gaps: &[Gap], now: Timestamp, length: Duration) -> Uptime {
    history::uptime(&stretches(watched, gaps, now - length, now))
}

pub(crate) fn days(watched: &Watched, gaps: &[Gap], now: Timestamp, offset_secs: i32) -> Vec<Day> {
    history::days(&stretches(watched, gaps, now - DAY * 90, now), offset_secs)
}

/// "99.87%", or "–" if nothing was judged.
pub(crate) fn percent(uptime: &Uptime) -> String {
    uptime.percent().map_or_else(|| "–".to_owned(), |percent: Percent| percent.to_string())
}

/// The part of several monitors together.
pub(crate) fn together(parts: impl Iterator<Item = Uptime>) -> Uptime {
    parts.fold(Uptime::default(), |sum, part| Uptime {
        up: sum.up + part.up,
        degraded: sum.degraded + part.degraded,
        down: sum.down + part.down,
        unknown: sum.unknown + part.unknown,
    })
}
