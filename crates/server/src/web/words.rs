//! Words and figures as people read them in the console: lengths, moments, shares, counts.
//! Number and unit are joined by a no-break space; `assets/clock.js` repeats the rules of [`length`] for ages that tick.

use std::time::Duration;

use jiff::Zoned;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use watchbell_core::Timestamp;

use crate::live::Shown;

const SECOND: u64 = 1;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The moment a page is made and the zone its reader lives in: what every moment on it is told by.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub now: Timestamp,
    pub zone: TimeZone,
}

impl Calendar {
    /// "02:47:12" today, "Mon 14:10" in the last six days, "20 Feb 08:31" this year, else "20 Feb 2025".
    pub(crate) fn moment(&self, moment: Timestamp) -> String {
        let (then, now) = (self.local(moment), self.local(self.now));
        let apart = now.date().since(then.date()).map_or(0, |span| span.get_days());
        let pattern = match apart {
            0 => "%H:%M:%S",
            -6..=6 => "%a %H:%M",
            _ if then.year() == now.year() => "%-d %b %H:%M",
            _ => "%-d %b %Y",
        };
        joined(&then.strftime(pattern).to_string())
    }

    /// "14:10" today, else like [`Calendar::moment`]: for axes and second lines.
    pub(crate) fn short(&self, moment: Timestamp) -> String {
        let then = self.local(moment);
        if then.date() == self.local(self.now).date() {
            then.strftime("%H:%M").to_string()
        } else {
            self.moment(moment)
        }
    }

    /// "20 Feb", or "20 Feb 2025" in another year.
    pub(crate) fn day(&self, moment: Timestamp) -> String {
        let then = self.local(moment);
        let pattern = if then.year() == self.local(self.now).year() { "%-d %b" } else { "%-d %b %Y" };
        joined(&then.strftime(pattern).to_string())
    }

    /// The date, the time to the second and the zone.
    pub(crate) fn full(&self, moment: Timestamp) -> String {
        self.local(moment).strftime("%a %-d %b %Y, %H:%M:%S %Z").to_string()
    }

    pub(crate) fn local(&self, moment: Timestamp) -> Zoned {
        moment.to_jiff().to_zoned(self.zone.clone())
    }

    /// [`Calendar::moment`] as an element that knows its full value.
    pub(crate) fn time(&self, moment: Timestamp) -> Markup {
        self.element(moment, &self.moment(moment))
    }

    pub(crate) fn short_time(&self, moment: Timestamp) -> Markup {
        self.element(moment, &self.short(moment))
    }

    pub(crate) fn day_time(&self, moment: Timestamp) -> Markup {
        self.element(moment, &self.day(moment))
    }

    fn element(&self, moment: Timestamp, text: &str) -> Markup {
        html! { time datetime=(moment) title=(self.full(moment)) { (text) } }
    }

    /// How long ago, as an element that the browser keeps true.
    pub(crate) fn age(&self, moment: Timestamp) -> Markup {
        html! {
            time datetime=(moment) title=(self.full(moment)) data-age="" { (length(self.now.since(moment))) }
        }
    }

    /// Like [`Calendar::age`], with seconds below an hour.
    pub(crate) fn fine_age(&self, moment: Timestamp) -> Markup {
        html! {
            time datetime=(moment) title=(self.full(moment)) data-age="fine" { (fine_length(self.now.since(moment))) }
        }
    }
}

/// "42 s", "14 min", "6 h 20 min", "3 d 4 h", "23 d".
pub(crate) fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        ..MINUTE => unit(seconds, "s"),
        MINUTE..HOUR => unit(seconds / MINUTE, "min"),
        HOUR..DAY => pair(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ if seconds < 14 * DAY => pair(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        _ => unit(seconds / DAY, "d"),
    }
}

/// Like [`length`], with seconds below an hour: "14 min 10 s".
pub(crate) fn fine_length(length: Duration) -> String {
    match length.as_secs() {
        seconds @ MINUTE..HOUR => pair(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        _ => self::length(length),
    }
}

/// A setting: "500 ms", "90 s", "5 min", "1 h 30 min". Nothing is rounded away.
pub(crate) fn setting(length: Duration) -> String {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    if !millis.is_multiple_of(1000) {
        return if millis < 1000 { unit(millis, "ms") } else { format!("{}\u{a0}s", millis as f64 / 1000.0) };
    }
    let seconds = millis / 1000;
    if seconds < 2 * MINUTE {
        return unit(seconds, "s");
    }
    let parts =
        [(seconds / DAY, "d"), (seconds % DAY / HOUR, "h"), (seconds % HOUR / MINUTE, "min"), (seconds % MINUTE, "s")];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| unit(*count, name)).collect();
    said.join(" ")
}

fn unit(count: u64, name: &str) -> String {
    format!("{count}\u{a0}{name}")
}

/// The smaller one is left out where it is nothing.
fn pair(large: u64, large_name: &str, small: u64, small_name: &str) -> String {
    match small {
        0 => unit(large, large_name),
        _ => format!("{large}\u{a0}{large_name} {small}\u{a0}{small_name}"),
    }
}

/// A response time in prose: "118 ms", "2.4 s".
pub(crate) fn latency(took: Duration) -> String {
    if took < Duration::from_millis(1) {
        return "<\u{a0}1\u{a0}ms".to_owned();
    }
    match took.as_millis() {
        millis @ ..1000 => format!("{millis}\u{a0}ms"),
        millis => format!("{:.1}\u{a0}s", millis as f64 / 1000.0),
    }
}

/// A response time in a column: always milliseconds, so that digits align.
pub(crate) fn millis(took: Duration) -> String {
    if !took.is_zero() && took < Duration::from_millis(1) {
        return "<\u{a0}1\u{a0}ms".to_owned();
    }
    format!("{}\u{a0}ms", count(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
}

/// With a thin space between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 6);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// "1 monitor", "42 monitors".
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { many })
}

/// "Ada", "Ada and Tom", "Ada, Tom and Eva", "Ada and 3 more".
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let name = |place: usize| names[place].as_ref();
    match names.len() {
        0 => String::new(),
        1 => name(0).to_owned(),
        2 => format!("{} and {}", name(0), name(1)),
        3 => format!("{}, {} and {}", name(0), name(1), name(2)),
        more => format!("{} and {} more", name(0), more - 1),
    }
}

/// "1.4 kB", "12 MB".
pub(crate) fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut name = "B";
    for larger in ["kB", "MB", "GB", "TB"] {
        if size < 1000.0 {
            break;
        }
        size /= 1000.0;
        name = larger;
    }
    if name == "B" || size >= 10.0 { format!("{size:.0}\u{a0}{name}") } else { format!("{size:.1}\u{a0}{name}") }
}

/// The letters of an avatar: "AL" of "Ada Lindqvist".
pub(crate) fn initials(name: &str) -> String {
    let mut words =
        name.split(|c: char| c.is_whitespace() || c == '.' || c == '-' || c == '_').filter(|it| !it.is_empty());
    let first = words.next().and_then(|word| word.chars().next());
    let last = words.next_back().and_then(|word| word.chars().next());
    [first, last].into_iter().flatten().flat_map(char::to_uppercase).collect()
}

/// Ends with a full stop, whatever it ended with before.
pub(crate) fn sentence(text: &str) -> String {
    match text.trim_end() {
        "" => String::new(),
        text if text.ends_with(['.', '!', '?', '…', ':']) => text.to_owned(),
        text => format!("{text}."),
    }
}

impl Shown {
    /// The word people read.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Down => "Down",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
            Self::Paused => "Paused",
            Self::Pending => "New",
            Self::Up => "Up",
        }
    }

    /// The class that carries the shape and the colour.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Pending => "new",
            other => other.name(),
        }
    }
}

/// Keeps a day and its month together; a line may break only before the time.
fn joined(text: &str) -> String {
    text.replacen(' ', "\u{a0}", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn calendar(now: &str) -> Calendar {
        Calendar { now: now.parse().unwrap(), zone: TimeZone::get("Europe/Berlin").unwrap() }
    }

    #[test]
    fn lengths_are_told_in_at_most_two_units() {
        for (of, said) in [
            (0, "0 s"),
            (42, "42 s"),
            (60, "1 min"),
            (14 * 60 + 10, "14 min"),
            (3600, "1 h"),
            (6 * 3600 + 20 * 60, "6 h 20 min"),
            (3 * 86_400 + 4 * 3600, "3 d 4 h"),
            (23 * 86_400 + 3600, "23 d"),
        ] {
            assert_eq!(length(seconds(of)).replace('\u{a0}', " "), said);
        }
        assert_eq!(fine_length(seconds(14 * 60 + 10)), "14\u{a0}min 10\u{a0}s");
        assert_eq!(fine_length(seconds(7200)), "2\u{a0}h");
    }

    #[test]
    fn settings_are_told_exactly() {
        for (millis, said) in [
            (500, "500 ms"),
            (1500, "1.5 s"),
            (90_000, "90 s"),
            (300_000, "5 min"),
            (5_400_000, "1 h 30 min"),
            (86_400_000, "1 d"),
            (121_000, "2 min 1 s"),
        ] {
            assert_eq!(setting(Duration::from_millis(millis)).replace('\u{a0}', " "), said);
        }
    }

    #[test]
    fn moments_shrink_with_their_distance() {
        let calendar = calendar("2026-03-10T02:01:22Z");
        for (moment, said) in [
            ("2026-03-10T01:47:12Z", "02:47:12"),
            ("2026-03-09T13:10:00Z", "Mon 14:10"),
            ("2026-02-20T07:31:00Z", "20 Feb 08:31"),
            ("2025-02-20T07:31:00Z", "20 Feb 2025"),
            ("2026-03-12T13:10:00Z", "Thu 14:10"),
        ] {
            assert_eq!(calendar.moment(moment.parse().unwrap()).replace('\u{a0}', " "), said);
        }
    }

    #[test]
    fn a_moment_near_midnight_belongs_to_the_readers_day() {
        let calendar = calendar("2026-03-10T00:30:00Z");
        assert_eq!(calendar.moment("2026-03-09T23:30:00Z".parse().unwrap()), "00:30:00");
        assert_eq!(calendar.moment("2026-03-09T22:30:00Z".parse().unwrap()), "Mon\u{a0}23:30");
    }

    #[test]
    fn every_moment_carries_its_full_value_and_zone() {
        let html = calendar("2026-03-10T02:01:22Z").time("2026-03-10T01:47:12Z".parse().unwrap()).into_string();
        assert_eq!(
            html,
            r#"<time datetime="2026-03-10T01:47:12.000Z" title="Tue 10 Mar 2026, 02:47:12 CET">02:47:12</time>"#
        );
    }

    #[test]
    fn response_times_are_milliseconds_in_columns_and_seconds_in_prose() {
        let took = Duration::from_millis(2440);
        assert_eq!(latency(took), "2.4\u{a0}s");
        assert_eq!(millis(took), "2\u{202f}440\u{a0}ms");
        assert_eq!(latency(Duration::from_millis(118)), "118\u{a0}ms");
        assert_eq!(latency(Duration::from_micros(120)), "<\u{a0}1\u{a0}ms");
    }

    #[test]
    fn counts_and_lists_read_like_prose() {
        assert_eq!(count(1_951_204), "1\u{202f}951\u{202f}204");
        assert_eq!(counted(1, "monitor", "monitors"), "1 monitor");
        assert_eq!(counted(0, "monitor", "monitors"), "0 monitors");
        assert_eq!(listed(&["Ada"]), "Ada");
        assert_eq!(listed(&["Ada", "Tom", "Eva"]), "Ada, Tom and Eva");
        assert_eq!(listed(&["Ada", "Tom", "Eva", "Kim"]), "Ada and 3 more");
        assert_eq!(initials("Ada Lindqvist"), "AL");
        assert_eq!(initials("admin"), "A");
        assert_eq!(bytes(1_449), "1.4\u{a0}kB");
        assert_eq!(bytes(157), "157\u{a0}B");
    }
}
