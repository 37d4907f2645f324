//! The response chart: the median as a line, a band up to the 95th percentile, outages shaded, gaps left open.
//! Never a mean, never smoothed, never drawn across a failure. It is sharp at any width without a script: lines lie
//! in a stretched view box, words and shades around it by shares of the width.

use std::fmt::Write;
use std::time::Duration;

use maud::{Markup, PreEscaped, html};
use watchbell_core::history::Stretch;
use watchbell_core::{Timestamp, Verdict};
use watchbell_store::Bucket;

use crate::web::draw;
use crate::web::words::{self, Calendar};

/// The span of time a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    Hour,
    Day,
    Week,
    Month,
}

impl Window {
    pub(crate) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// As it stands in the address: `?window=7d`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// The window of that name; a day if there is none, an hour for what is only hours `old`.
    pub(crate) fn named(name: &str, old: Duration) -> Self {
        let usual = if old < Duration::from_secs(4 * 3600) { Self::Hour } else { Self::Day };
        Self::ALL.into_iter().find(|window| window.name() == name).unwrap_or(usual)
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Hour => "1\u{a0}h",
            Self::Day => "24\u{a0}h",
            Self::Week => "7\u{a0}d",
            Self::Month => "30\u{a0}d",
        }
    }

    pub(crate) const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 30 * 86_400,
        })
    }

    /// So many points.
    pub(crate) const fn buckets(self) -> usize {
        match self {
            Self::Hour => 120,
            Self::Day => 288,
            Self::Week => 336,
            Self::Month => 360,
        }
    }
}

/// What is drawn.
pub(crate) struct Chart<'a> {
    pub window: Window,
    /// The end of the window; it begins [`Window::length`] before.
    pub to: Timestamp,
    /// Those that hold something, or all.
    pub buckets: &'a [Bucket],
    pub stretches: &'a [Stretch],
    pub slow_above: Option<Duration>,
    /// How far apart checks are: a longer silence breaks the line.
    pub interval: Duration,
    /// How long the present outage has lasted, however much of it the window shows.
    pub down_for: Option<Duration>,
    pub calendar: &'a Calendar,
}

const HEIGHT: f64 = 248.0;
const WIDTH: f64 = 1000.0;

impl Chart<'_> {
    pub(crate) fn draw(&self) -> Markup {
        let points = self.points();
        let top = self.top(&points);
        let said = points.iter().map(|point| point.is_some_and(|it| it.median.is_some())).filter(|it| *it).count();
        html! {
            div.chart {
                svg.ys aria-hidden="true" {
                    @for step in 0..=5 {
                        text x="100%" dx="-12" y=(draw::percent(1.0 - f64::from(step) / 5.0)) dy="4" text-anchor="end" {
                            (tick(top * f64::from(step) / 5.0, top))
                        }
                    }
                }
                svg.plot tabindex="0" role="img" aria-label=(self.label(&points)) {
                    defs {
                        pattern #hatch-n width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                            path.hatch-n d="M0 0v6" {}
                        }
                    }
                    @for step in 0..=5 {
                        @let y = draw::percent(1.0 - f64::from(step) / 5.0);
                        line.grid.base[step == 0] x1="0" x2="100%" y1=(y) y2=(y) {}
                    }
                    (self.shades())
                    svg viewBox="0 0 1000 248" width="100%" height="100%" preserveAspectRatio="none" {
                        @if said > 0 {
                            path.band d=(self.band(&points, top)) {}
                            path.p95 d=(self.line(&points, top, |point| point.p95)) {}
                            path.p50 d=(self.line(&points, top, |point| point.median)) {}
                        }
                    }
                    @if let Some(limit) = self.slow_above.map(|limit| limit.as_micros() as f64).filter(|limit| *limit <= top) {
                        @let y = draw::percent(1.0 - limit / top);
                        line.limit x1="0" x2="100%" y1=(y) y2=(y) {}
                        text.limit-t x="6" y=(y) dy="-6" {
                            "slow above " (words::latency(self.slow_above.unwrap_or_default()))
                        }
                    }
                    @if said == 0 { text.none x="50%" y="50%" text-anchor="middle" { "No answers in this window" } }
                    line.cross y1="0" y2="100%" x1="0" x2="0" {}
                    circle.dot r="4.5" {}
                    rect.hit width="100%" height="100%" {}
                }
                svg.xs aria-hidden="true" {
                    @for (index, (share, text)) in self.marks().iter().enumerate() {
                        text.hide-s[index % 2 == 0] x=(draw::percent(*share)) y="19" text-anchor="middle" { (text) }
                    }
                    text x="100%" y="19" text-anchor="end" { "now" }
                }
                div.tip aria-live="polite" {
                    h4 {}
                    dl {
                        dt {
                            svg width="12" height="4" aria-hidden="true" { line.key-p50 x2="12" y1="2" y2="2" {} }
                            "Median"
                        }
                        dd {}
                        dt {
                            svg width="12" height="8" aria-hidden="true" { rect.key-band width="12" height="8" {} }
                            "95th percentile"
                        }
                        dd {}
                        dt { "Checks" } dd {}
                    }
                }
                script type="application/json" { (PreEscaped(self.data(&points, top))) }
            }
        }
    }

    /// The figures as a table, in pieces of the window.
    pub(crate) fn table(&self) -> Markup {
        const PIECES: usize = 24;
        let points = self.points();
        let pieces: Vec<&[Option<Point>]> = points.chunks(points.len().div_ceil(PIECES).max(1)).collect();
        let length = self.window.length() / u32::try_from(pieces.len().max(1)).unwrap_or(1);
        html! {
            table.tbl.dense {
                caption.sr { "Response times" }
                thead {
                    tr {
                        th scope="col" { "From" }
                        th.r scope="col" { "Checks" }
                        th.r scope="col" { "Failed" }
                        th.r scope="col" { "Median" }
                        th.r scope="col" { "Highest" }
                    }
                }
                tbody {
                    @for (index, piece) in pieces.iter().enumerate().rev() {
                        @let seen: Vec<Point> = piece.iter().flatten().copied().collect();
                        @let checks: u32 = seen.iter().map(|it| it.checks).sum();
                        @let failed: u32 = seen.iter().map(|it| it.failed).sum();
                        @let medians: Vec<u32> = seen.iter().filter_map(|it| it.median).collect();
                        @let from = self.from() + length * u32::try_from(index).unwrap_or(0);
                        tr {
                            td.num { (self.calendar.short_time(from)) }
                            td.r.num { (checks) }
                            td.r.num { @if failed > 0 { span.down-t.b { (failed) } } @else { "0" } }
                            td.r.num { (range(&medians)) }
                            td.r.num {
                                (seen.iter().filter_map(|it| it.highest).max().map_or_else(|| "–".into(), |it| words::millis(micros(it))))
                            }
                        }
                    }
                }
            }
        }
    }

    fn from(&self) -> Timestamp {
        self.to - self.window.length()
    }

    /// One place for each bucket of the window; what holds nothing stays empty.
    fn points(&self) -> Vec<Option<Point>> {
        let mut points = vec![None; self.window.buckets()];
        let step = self.window.length().as_millis() as i64 / points.len() as i64;
        for bucket in self.buckets {
            let index = (bucket.from.as_millis() - self.from().as_millis()) / step.max(1);
            let checks = bucket.n_ok + bucket.n_slow + bucket.n_fail;
            if let Some(place) = usize::try_from(index).ok().and_then(|index| points.get_mut(index))
                && (checks > 0 || bucket.median_us.is_some())
            {
                let answered = bucket.n_ok + bucket.n_slow > 0;
                *place = Some(Point {
                    median: bucket.median_us.filter(|_| answered),
                    p95: bucket.p95_us.filter(|_| answered),
                    highest: bucket.max_us.filter(|_| answered),
                    checks,
                    failed: bucket.n_fail,
                });
            }
        }
        points
    }

    /// The upper edge in microseconds: a round figure above what is usual. A lone outlier is cut.
    fn top(&self, points: &[Option<Point>]) -> f64 {
        let mut seen: Vec<u32> = points.iter().flatten().filter_map(|point| point.p95.or(point.median)).collect();
        seen.sort_unstable();
        let highest = seen.last().copied().unwrap_or(0);
        let usual = seen.get(seen.len().saturating_sub(1) * 98 / 100).copied().unwrap_or(0);
        let shown =
            if seen.len() >= 50 && highest > usual.saturating_mul(4) { usual.saturating_mul(2) } else { highest };
        let limit = self.slow_above.map_or(0.0, |limit| limit.as_micros() as f64);
        // The limit is shown where it is near what is measured, not where it would flatten it.
        let wanted = f64::from(shown).max(if limit <= f64::from(shown) * 3.0 { limit } else { 0.0 });
        round_up(wanted * 1.08)
    }

    fn x(index: usize, count: usize) -> f64 {
        (index as f64 + 0.5) / count as f64 * WIDTH
    }

    /// Runs of points that may be joined: no failure between them, no longer silence than a few checks.
    fn runs(&self, points: &[Option<Point>]) -> Vec<Vec<(usize, Point)>> {
        let step = self.window.length() / u32::try_from(points.len()).unwrap_or(1);
        let reach = 3.0 * (self.interval.as_secs_f64() / step.as_secs_f64()).max(1.0);
        let mut runs: Vec<Vec<(usize, Point)>> = Vec::new();
        let mut broken = true;
        for (index, point) in points.iter().enumerate() {
            match point {
                Some(point) if point.median.is_some() => {
                    let near =
                        runs.last().and_then(|run| run.last()).is_some_and(|(last, _)| (index - last) as f64 <= reach);
                    if broken || !near {
                        runs.push(Vec::new());
                    }
                    if let Some(run) = runs.last_mut() {
                        run.push((index, *point));
                    }
                    broken = false;
                }
                Some(_) => broken = true,
                None => {}
            }
        }
        runs
    }

    fn line(&self, points: &[Option<Point>], top: f64, of: impl Fn(&Point) -> Option<u32>) -> String {
        let mut path = String::new();
        for run in self.runs(points) {
            for (place, (index, point)) in run.iter().enumerate() {
                let Some(value) = of(point) else { continue };
                let letter = if place == 0 { 'M' } else { 'L' };
                // Writing to a string does not fail.
                let _ = write!(
                    path,
                    "{letter}{} {}",
                    draw::number(Self::x(*index, points.len())),
                    draw::number(y(value, top))
                );
            }
            if let [(_, point)] = run.as_slice()
                && of(point).is_some()
            {
                // A lone point is a short stroke, else nobody would see it.
                let _ = write!(path, "h{}", draw::number((WIDTH / points.len() as f64).max(1.0)));
            }
        }
        path
    }

    /// From the median up to the 95th percentile, and back.
    fn band(&self, points: &[Option<Point>], top: f64) -> String {
        let mut path = String::new();
        for run in self.runs(points).iter().filter(|run| run.len() > 1) {
            let upper = run.iter().map(|(index, point)| (*index, point.p95.or(point.median)));
            let lower = run.iter().rev().map(|(index, point)| (*index, point.median));
            for (place, (index, value)) in upper.chain(lower).enumerate() {
                let letter = if place == 0 { 'M' } else { 'L' };
                let _ = write!(
                    path,
                    "{letter}{} {}",
                    draw::number(Self::x(index, points.len())),
                    draw::number(y(value.unwrap_or(0), top))
                );
            }
            path.push('Z');
        }
        path
    }

    /// Outages, and times in which nobody looked.
    fn shades(&self) -> Markup {
        let (from, whole) = (self.from(), self.window.length().as_secs_f64());
        let share = |moment: Timestamp| moment.since(from).as_secs_f64() / whole;
        let shown: Vec<(&Stretch, f64, f64)> = self
            .stretches
            .iter()
            .filter(|it| matches!(it.verdict, Verdict::Down | Verdict::Unknown))
            .map(|it| (it, share(it.from), share(it.to) - share(it.from)))
            .filter(|(it, _, width)| it.verdict == Verdict::Down || *width > 0.004)
            .collect();
        // A word needs room; the present outage always has it.
        let mut taken = -1.0;
        let mut words = Vec::new();
        for (place, (stretch, x, width)) in shown.iter().enumerate() {
            let is_last = stretch.to >= self.to - Duration::from_secs(1);
            let middle = if is_last { 1.0 } else { (x + width / 2.0).clamp(0.06, 0.94) };
            let ends_with_present = shown.last().is_some_and(|(last, ..)| last.to >= self.to - Duration::from_secs(1));
            let free_until = if ends_with_present && !is_last { 0.86 } else { 1.01 };
            if is_last || (middle - taken > 0.13 && middle < free_until) {
                words.push((place, middle, is_last));
                taken = middle;
            }
        }
        html! {
            @for (stretch, x, width) in &shown {
                @let (x, width) = (draw::percent(*x), draw::percent(width.max(0.002)));
                @if stretch.verdict == Verdict::Down {
                    rect.inc x=(x) width=(width) height="100%" {}
                    rect.inc-top x=(x) y="-3" width=(width) height="3" {}
                } @else {
                    rect x=(x) width=(width) height="100%" fill="url(#hatch-n)" {}
                    rect.gap-top x=(x) y="-3" width=(width) height="3" {}
                }
            }
            @for (place, middle, is_last) in words {
                @let stretch = shown[place].0;
                @let down = stretch.verdict == Verdict::Down;
                text.inc-t[down].gap-t[!down].hide-s[!is_last] x=(draw::percent(middle)) y="-9" text-anchor=(if is_last { "end" } else { "middle" }) {
                    @if down {
                        "Down " (words::length(self.down_for.filter(|_| is_last).unwrap_or_else(|| stretch.length())))
                    } @else {
                        "Not watching"
                    }
                }
            }
        }
    }

    /// Round moments along the axis with what is written below them, none too near to the end.
    fn marks(&self) -> Vec<(f64, String)> {
        const HOUR: Duration = Duration::from_secs(3600);
        let (step, pattern) = match self.window {
            Window::Hour => (HOUR / 6, "%H:%M"),
            Window::Day => (HOUR * 3, "%H:%M"),
            Window::Week => (HOUR * 24, "%a"),
            Window::Month => (HOUR * 120, "%-d %b"),
        };
        // From the last midnight of the reader's zone, so that marks fall on round moments.
        let from = self.calendar.local(self.from());
        let midnight =
            from.start_of_day().map_or(self.from(), |it| Timestamp::from_millis(it.timestamp().as_millisecond()));
        let passed = self.from().since(midnight).as_millis() / step.as_millis();
        let mut moment = midnight + step * u32::try_from(passed).unwrap_or(0);
        let mut marks = Vec::new();
        while moment < self.to {
            let share = (moment.as_millis() - self.from().as_millis()) as f64 / self.window.length().as_millis() as f64;
            if (0.03..0.94).contains(&share) {
                let local = self.calendar.local(moment);
                let is_midnight = local.hour() == 0 && local.minute() == 0;
                let text = if self.window == Window::Day && is_midnight {
                    local.strftime("%a %-d %b")
                } else {
                    local.strftime(pattern)
                };
                marks.push((share, text.to_string()));
            }
            moment = moment + step;
        }
        marks
    }

    fn label(&self, points: &[Option<Point>]) -> String {
        let mut medians: Vec<u32> = points.iter().flatten().filter_map(|point| point.median).collect();
        medians.sort_unstable();
        let middle = medians
            .get(medians.len() / 2)
            .map_or_else(|| "no answers".into(), |it| format!("median {}", words::latency(micros(*it))));
        let outages: Vec<String> = self
            .stretches
            .iter()
            .filter(|it| it.verdict == Verdict::Down)
            .map(|it| format!("{} for {}", self.calendar.short(it.from), words::length(it.length())))
            .collect();
        let down =
            if outages.is_empty() { "Never down".to_owned() } else { format!("Down {}", words::listed(&outages)) };
        format!(
            "Response time, last {}: {middle}. {down}. Left and right arrow keys read single points.",
            self.window.word()
        )
    }

    /// What the crosshair reads.
    fn data(&self, points: &[Option<Point>], top: f64) -> String {
        let step = self.window.length() / u32::try_from(points.len()).unwrap_or(1);
        let millis = |micros: Option<u32>| micros.map(|micros| (f64::from(micros) / 100.0).round() / 10.0);
        let of = |read: &dyn Fn(&Point) -> Option<u32>| -> Vec<Option<f64>> {
            points.iter().map(|point| point.as_ref().and_then(read)).map(millis).collect()
        };
        let counts: Vec<String> = points
            .iter()
            .map(|point| match point {
                None => "–".to_owned(),
                Some(it) if it.failed > 0 => format!("{}, {} failed", it.checks, it.failed),
                Some(it) => it.checks.to_string(),
            })
            .collect();
        json(&serde_json::json!({
            "max": top / 1000.0,
            "from": self.from().as_millis(),
            "step": u64::try_from(step.as_millis()).unwrap_or(0),
            "zone": self.calendar.zone.iana_name().unwrap_or("UTC"),
            "p50": of(&|point| point.median),
            "p95": of(&|point| point.p95),
            "n": counts,
        }))
    }
}

/// One bucket that holds something, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Point {
    median: Option<u32>,
    p95: Option<u32>,
    highest: Option<u32>,
    checks: u32,
    failed: u32,
}

fn y(value: u32, top: f64) -> f64 {
    (HEIGHT - f64::from(value) / top * HEIGHT).max(0.0)
}

fn micros(value: u32) -> Duration {
    Duration::from_micros(u64::from(value))
}

fn range(medians: &[u32]) -> String {
    match (medians.iter().min(), medians.iter().max()) {
        (Some(least), Some(most)) => {
            let (least, most) = (words::millis(micros(*least)), words::millis(micros(*most)));
            if least == most { least } else { format!("{}–{most}", least.trim_end_matches("\u{a0}ms")) }
        }
        _ => "–".to_owned(),
    }
}

/// The next of 1, 2, 2.5, 5 and their tenfolds; at least a millisecond.
fn round_up(micros: f64) -> f64 {
    let mut scale = 1000.0;
    loop {
        for step in [1.0, 2.0, 2.5, 5.0] {
            if step * scale >= micros {
                return step * scale;
            }
        }
        scale *= 10.0;
    }
}

/// A mark of the upright axis, in the unit of the whole axis.
fn tick(value: f64, top: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if top > 2_000_000.0 || value >= 1_000_000.0 {
        format!("{}\u{a0}s", draw::number(value / 1e6))
    } else {
        format!("{}\u{a0}ms", draw::number(value / 1000.0))
    }
}

/// The response of the last day as a small area, for large cards. Nothing if there is too little to draw.
pub(crate) fn area(buckets: &[Bucket], from: Timestamp, to: Timestamp) -> Option<Markup> {
    let length = to.since(from).as_secs_f64().max(1.0);
    let seen: Vec<(f64, u32)> = buckets
        .iter()
        .filter_map(|bucket| Some((bucket.from.since(from).as_secs_f64() / length * 320.0, bucket.median_us?)))
        .collect();
    if seen.len() < 2 {
        return None;
    }
    let mut sorted: Vec<u32> = seen.iter().map(|(_, value)| *value).collect();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    // Twice the monitor's own median is the top, so that noise looks like noise.
    let top = f64::from(median.max(1)) * 2.0;
    let mut line = String::new();
    for (place, (x, value)) in seen.iter().enumerate() {
        let height = (56.0 - f64::from(*value) / top * 56.0).clamp(1.0, 55.0);
        let letter = if place == 0 { 'M' } else { 'L' };
        let _ = write!(line, "{letter}{} {}", draw::number(*x), draw::number(height));
    }
    let (first, last) = (seen[0].0, seen[seen.len() - 1].0);
    Some(html! {
        svg.area viewBox="0 0 320 56" width="100%" height="56" preserveAspectRatio="none" role="img"
            aria-label={ "Response, 24 hours, median " (words::latency(micros(median))) } {
            path.band d={ (line) "L" (draw::number(last)) " 56L" (draw::number(first)) " 56Z" } {}
            path.p50 d=(line) {}
        }
    })
}

/// JSON for a script element: nothing in it can end the element.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|_| "null".to_owned())
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(at: i64, median: Option<u32>, failed: u32) -> Bucket {
        Bucket {
            from: Timestamp::from_secs(at),
            n_ok: u32::from(median.is_some()),
            n_slow: 0,
            n_fail: failed,
            n_local: 0,
            median_us: median,
            p95_us: median.map(|it| it * 2),
            min_us: median,
            max_us: median.map(|it| it * 3),
        }
    }

    fn chart<'a>(buckets: &'a [Bucket], stretches: &'a [Stretch], calendar: &'a Calendar) -> Chart<'a> {
        Chart {
            window: Window::Hour,
            to: Timestamp::from_secs(3600),
            buckets,
            stretches,
            slow_above: None,
            interval: Duration::from_secs(30),
            down_for: None,
            calendar,
        }
    }

    fn calendar() -> Calendar {
        Calendar { now: Timestamp::from_secs(3600), zone: jiff::tz::TimeZone::UTC }
    }

    #[test]
    fn the_line_breaks_at_a_failure_and_at_a_silence() {
        let calendar = calendar();
        let ms = |ms: u32| Some(ms * 1000);
        let buckets = [
            bucket(0, ms(10), 0),
            bucket(30, ms(20), 0),
            bucket(60, None, 1),
            bucket(90, ms(10), 0),
            bucket(120, ms(10), 0),
            bucket(1800, ms(10), 0),
            bucket(1830, ms(10), 0),
        ];
        let chart = chart(&buckets, &[], &calendar);
        let points = chart.points();
        let runs: Vec<usize> = chart.runs(&points).iter().map(Vec::len).collect();
        assert_eq!(runs, [2, 2, 2]);
        let line = chart.line(&points, 50_000.0, |point| point.median);
        assert!(line.starts_with("M4.17 198.4L12.5 148.8M29.17 198.4L"), "{line}");
        assert!(chart.band(&points, 50_000.0).starts_with("M4.17 148.8L12.5 49.6L12.5 148.8L4.17 198.4Z"));
    }

    #[test]
    fn the_scale_ends_at_a_round_figure_and_an_outlier_is_cut() {
        let calendar = calendar();
        for (micros, top) in [(0.0, 1000.0), (1100.0, 2000.0), (240_000.0, 250_000.0), (800_000.0, 1_000_000.0)] {
            assert_eq!(round_up(micros), top);
        }
        let mut buckets: Vec<Bucket> = (0..100).map(|place| bucket(place * 30, Some(10_000), 0)).collect();
        buckets[50] = bucket(1500, Some(9_000_000), 0);
        let chart = chart(&buckets, &[], &calendar);
        assert_eq!(chart.top(&chart.points()), 50_000.0);
    }

    #[test]
    fn an_outage_is_shaded_and_told() {
        let calendar = calendar();
        let stretches = [
            Stretch { verdict: Verdict::Up, from: Timestamp::from_secs(0), to: Timestamp::from_secs(900) },
            Stretch { verdict: Verdict::Down, from: Timestamp::from_secs(900), to: Timestamp::from_secs(1800) },
            Stretch { verdict: Verdict::Up, from: Timestamp::from_secs(1800), to: Timestamp::from_secs(3600) },
        ];
        let drawn = chart(&[], &stretches, &calendar).draw().into_string();
        assert!(drawn.contains(r#"<rect class="inc" x="25%" width="25%""#), "{drawn}");
        assert!(drawn.contains("Down 15\u{a0}min"), "{drawn}");
        assert!(drawn.contains("No answers in this window"), "{drawn}");
        assert!(!drawn.contains("style="), "{drawn}");
    }

    #[test]
    fn data_for_scripts_cannot_end_its_element() {
        assert_eq!(json(&["</script><b>"]), "[\"\\u003c/script>\\u003cb>\"]");
    }
}
