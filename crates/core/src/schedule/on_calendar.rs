//! Calendar events as systemd timers write them (`OnCalendar=`, systemd.time(7)): `Mon..Fri 09:00`, `*-*-01 03:00`,
//! `*-*~02 22:00:00 Europe/Berlin`, `daily`. A timer is expected when systemd itself would start it: a time that
//! the clocks leap over in spring does not come that day, and one that comes twice in autumn is the first of the two.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::Timestamp;

/// A parsed calendar event with its zone.
#[derive(Clone, Debug)]
pub struct OnCalendar {
    pub(super) text: String,
    pub(super) zone_name: String,
    zone: TimeZone,
    /// Bit 0 is Monday.
    weekdays: u8,
    /// `None`: every year.
    years: Option<Vec<Range>>,
    /// Bit n is month n; likewise below.
    months: u64,
    days: u64,
    /// Days are counted from the end of the month: 1 is the last.
    from_the_end: bool,
    hours: u64,
    minutes: u64,
    seconds: u64,
}

/// From, to, and the step in between.
#[derive(Clone, Copy, Debug)]
struct Range {
    from: u32,
    to: u32,
    step: u32,
}

const EVERY_DAY: u8 = 0b111_1111;
/// Years that systemd knows.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2199;
/// What repeats comes again within this many years: 29 February on a given weekday waits 40 of them at most.
const FAR: i16 = 60;

impl OnCalendar {
    /// The sentence of an error says which part is wrong. Does not yet say whether it ever comes.
    pub(super) fn parse(text: &str, zone_name: Option<&str>) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is no calendar event: {why}");
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let own_zone = match words.as_slice() {
            [_, .., last] if last.starts_with(|c: char| c.is_ascii_alphabetic()) => words.pop(),
            _ => None,
        };
        if own_zone.is_some() && zone_name.is_some() {
            return Err(wrong("it names its own time zone, so no other may be set"));
        }
        let zone_name = own_zone.or(zone_name).unwrap_or("UTC");
        let zone = TimeZone::get(zone_name)
            .map_err(|_| format!("`{zone_name}` is no time zone; write it like Europe/Berlin or UTC"))?;
        let written = words.join(" ");
        let long = shorthand(&written).unwrap_or(&written);
        let mut words = long.split(' ').peekable();

        let weekdays = match words.next_if(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())) {
            Some(word) => weekdays(word).map_err(|why| wrong(&why))?,
            None => EVERY_DAY,
        };
        let date = words.next_if(|word| !word.contains(':') && word.contains(['-', '~'])).unwrap_or("*-*-*");
        let time = words.next_if(|word| word.contains(':')).unwrap_or("00:00:00");
        if let Some(word) = words.next().or((long.is_empty()).then_some("nothing")) {
            return Err(wrong(&format!(
                "`{word}` cannot stand there; it is written [weekdays] [date] [time] [zone], like Mon..Fri *-*-01 09:00"
            )));
        }

        let (from_the_end, before, day) = match date.split_once('~') {
            Some((before, day)) => (true, before, day),
            None => {
                let (before, day) = date.rsplit_once('-').ok_or_else(|| wrong("a date is like *-12-24"))?;
                (false, before, day)
            }
        };
        let (year, month) = before.split_once('-').unwrap_or(("*", before));
        let (clock, second) = match time.split(':').collect::<Vec<_>>().as_slice() {
            [hour, minute] => ((*hour, *minute), "00"),
            [hour, minute, second] => ((*hour, *minute), *second),
            _ => return Err(wrong("a time is like 09:30 or 09:30:00")),
        };
        let field = |name: &str, part: &str, within: std::ops::RangeInclusive<u32>| {
            bits(part, within).map_err(|why| wrong(&format!("in the {name}, {why}")))
        };
        let days = if from_the_end {
            days_from_the_end(day).map_err(|why| wrong(&format!("in the day, {why}")))?
        } else {
            field("day", day, 1..=31)?
        };
        let years = if year == "*" {
            None
        } else {
            let ranges = ranges(year, YEARS, |year| match year {
                0..70 => year + 2000,
                70..100 => year + 1900,
                year => year,
            });
            Some(ranges.map_err(|why| wrong(&format!("in the year, {why}")))?)
        };
        Ok(Self {
            text: text.to_owned(),
            zone_name: zone_name.to_owned(),
            zone,
            weekdays,
            years,
            months: field("month", month, 1..=12)?,
            days,
            from_the_end,
            hours: field("hour", clock.0, 0..=23)?,
            minutes: field("minute", clock.1, 0..=59)?,
            seconds: field("second", second, 0..=59)?,
        })
    }

    /// The first moment strictly after `last`; `None` if there is none any more.
    pub(super) fn after(&self, last: Timestamp) -> Option<Timestamp> {
        let local = self.zone.to_datetime(last.to_jiff());
        let mut at = DateTime::from_parts(local.date(), local.time().with().subsec_nanosecond(0).build().ok()?);
        let end = local.year().saturating_add(FAR);
        // A moment that was leapt over, or is the second of two, is tried and left behind.
        while at.year() <= end {
            let found = self.matching(at, end)?;
            let ambiguous = self.zone.to_ambiguous_timestamp(found);
            let offset = match ambiguous.offset() {
                AmbiguousOffset::Unambiguous { offset } => Some(offset),
                AmbiguousOffset::Fold { before, .. } => Some(before),
                AmbiguousOffset::Gap { .. } => None,
            };
            if let Some(moment) = offset.and_then(|offset| offset.to_timestamp(found).ok()) {
                let moment = Timestamp::from_millis(moment.as_millisecond());
                if moment > last {
                    return Some(moment);
                }
            }
            at = found.checked_add(jiff::Span::new().seconds(1)).ok()?;
        }
        None
    }

    /// The first date and time on the wall that match, not before `from`.
    fn matching(&self, from: DateTime, end: i16) -> Option<DateTime> {
        let mut date = from.date();
        if self.day_matches(date)
            && let Some(time) = self.time_from(from.time())
        {
            return Some(date.to_datetime(time));
        }
        loop {
            date =
                if self.month_matches(date) { date.tomorrow().ok()? } else { date.last_of_month().tomorrow().ok()? };
            if date.year() > end {
                return None;
            }
            if self.day_matches(date) {
                return Some(date.to_datetime(self.time_from(Time::midnight())?));
            }
        }
    }

    fn month_matches(&self, date: Date) -> bool {
        let year = u32::try_from(date.year()).unwrap_or(0);
        has(self.months, date.month()) && self.years.as_ref().is_none_or(|years| years.iter().any(|it| it.has(year)))
    }

    fn day_matches(&self, date: Date) -> bool {
        let day = if self.from_the_end { date.days_in_month() - date.day() + 1 } else { date.day() };
        let weekday = date.weekday().to_monday_zero_offset();
        self.month_matches(date) && has(self.days, day) && has(u64::from(self.weekdays), weekday)
    }

    /// The first matching time of a day that is not before this one.
    fn time_from(&self, from: Time) -> Option<Time> {
        let (hour, minute, second) = (from.hour(), from.minute(), from.second());
        let at = |h, m, s| Time::new(h, m, s, 0).ok();
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = next_bit(self.seconds, second)
            {
                return at(hour, minute, second);
            }
            if let Some(minute) = next_bit(self.minutes, minute + 1) {
                return at(hour, minute, next_bit(self.seconds, 0)?);
            }
        }
        at(next_bit(self.hours, hour + 1)?, next_bit(self.minutes, 0)?, next_bit(self.seconds, 0)?)
    }
}

impl Range {
    const fn has(self, value: u32) -> bool {
        self.from <= value && value <= self.to && (value - self.from).is_multiple_of(self.step)
    }
}

fn shorthand(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "minutely" => "*-*-* *:*:00",
        "hourly" => "*-*-* *:00:00",
        "daily" => "*-*-* 00:00:00",
        "weekly" => "Mon *-*-* 00:00:00",
        "monthly" => "*-*-01 00:00:00",
        "quarterly" => "*-01,04,07,10-01 00:00:00",
        "semiannually" | "semi-annually" => "*-01,07-01 00:00:00",
        "yearly" | "annually" => "*-01-01 00:00:00",
        _ => return None,
    })
}

/// `Mon`, `Mon,Wed`, `Mon..Fri`, `sat,sunday`.
fn weekdays(word: &str) -> Result<u8, String> {
    let day = |name: &str| {
        let all = [
            (Weekday::Monday, "monday"),
            (Weekday::Tuesday, "tuesday"),
            (Weekday::Wednesday, "wednesday"),
            (Weekday::Thursday, "thursday"),
            (Weekday::Friday, "friday"),
            (Weekday::Saturday, "saturday"),
            (Weekday::Sunday, "sunday"),
        ];
        let low = name.to_ascii_lowercase();
        let found = all.into_iter().find(|(_, long)| *long == low || (low.len() == 3 && long.starts_with(&low)));
        found
            .map(|(day, _)| day.to_monday_zero_offset())
            .ok_or_else(|| format!("`{name}` is no weekday; they are Mon, Tue, Wed, Thu, Fri, Sat, Sun"))
    };
    let mut bits = 0;
    for part in word.trim_end_matches(',').split(',') {
        let (from, to) = match part.split_once("..").or_else(|| part.split_once('-')) {
            Some((from, to)) => (day(from)?, day(to)?),
            None => (day(part)?, day(part)?),
        };
        if from > to {
            return Err(format!(
                "`{part}` runs backwards; the week begins on Monday, so write the two parts one by one"
            ));
        }
        (from..=to).for_each(|day| bits |= 1 << day);
    }
    Ok(bits)
}

/// A list of numbers, ranges and steps, each within limits.
fn ranges(
    part: &str,
    within: std::ops::RangeInclusive<u32>,
    as_meant: impl Fn(u32) -> u32,
) -> Result<Vec<Range>, String> {
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse::<u32>().ok().filter(|_| plain).map(&as_meant);
        value
            .filter(|value| within.contains(value))
            .ok_or_else(|| format!("`{text}` is not a whole number from {} to {}", within.start(), within.end()))
    };
    part.split(',')
        .map(|item| {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (item, None),
            };
            let step = match step.map(str::parse::<u32>) {
                None => None,
                Some(Ok(step)) if step > 0 => Some(step),
                Some(_) => return Err(format!("`{item}` has no step that is a number above 0")),
            };
            match (range.split_once(".."), step) {
                (Some((from, to)), step) => {
                    let (from, to) = (number(from)?, number(to)?);
                    if from > to {
                        return Err(format!("`{range}` runs backwards"));
                    }
                    Ok(Range { from, to, step: step.unwrap_or(1) })
                }
                (None, Some(step)) => Ok(Range { from: number(range)?, to: *within.end(), step }),
                (None, None) => number(range).map(|from| Range { from, to: from, step: 1 }),
            }
        })
        .collect()
}

fn bits(part: &str, within: std::ops::RangeInclusive<u32>) -> Result<u64, String> {
    if part == "*" {
        return Ok(u64::MAX);
    }
    let ranges = ranges(part, within.clone(), |value| value)?;
    Ok(within.filter(|value| ranges.iter().any(|range| range.has(*value))).fold(0, |bits, value| bits | 1 << value))
}

/// `3` is the last but two; `3/1` that and all after it.
fn days_from_the_end(part: &str) -> Result<u64, String> {
    let mut bits = 0;
    for item in part.split(',') {
        let (day, step) = item.split_once('/').map_or((item, None), |(day, step)| (day, Some(step)));
        let day: u32 = match day.parse() {
            Ok(day @ 1..=31) => day,
            _ => return Err(format!("`{item}` after ~ is not a number from 1 (the last day) to 31")),
        };
        let step: u32 = match step.map(str::parse) {
            None => day,
            Some(Ok(step)) if step > 0 => step,
            Some(_) => return Err(format!("`{item}` has no step that is a number above 0")),
        };
        (1..=day).rev().step_by(step as usize).for_each(|day| bits |= 1 << day);
    }
    Ok(bits)
}

const fn has(bits: u64, value: i8) -> bool {
    bits >> value & 1 == 1
}

/// The smallest value in the set that is not below `from`.
fn next_bit(bits: u64, from: i8) -> Option<i8> {
    (from..60).find(|value| has(bits, *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next moments after the base, as `systemd-analyze calendar --iterations` (systemd 252) gives them.
    const TABLE: &[(&str, &str, &[&str])] = &[
        ("Mon..Fri 09:00", "2026-03-01", &["2026-03-02T09:00", "2026-03-03T09:00", "2026-03-04T09:00"]),
        ("*-*-* 03:00:00", "2026-03-01", &["2026-03-01T03:00", "2026-03-02T03:00", "2026-03-03T03:00"]),
        ("daily", "2026-03-01", &["2026-03-02T00:00", "2026-03-03T00:00"]),
        ("weekly", "2026-03-01", &["2026-03-02T00:00", "2026-03-09T00:00"]),
        ("monthly", "2026-03-01", &["2026-04-01T00:00", "2026-05-01T00:00"]),
        ("quarterly", "2026-03-01", &["2026-04-01T00:00", "2026-07-01T00:00", "2026-10-01T00:00"]),
        ("semiannually", "2026-03-01", &["2026-07-01T00:00", "2027-01-01T00:00"]),
        ("yearly", "2026-03-01", &["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("minutely", "2026-03-01", &["2026-03-01T00:01", "2026-03-01T00:02"]),
        ("hourly Europe/Berlin", "2026-03-01", &["2026-03-01T01:00", "2026-03-01T02:00"]),
        ("Mon *-05~03", "2026-03-01", &["2028-05-29T00:00", "2034-05-29T00:00", "2045-05-29T00:00"]),
        ("*-02~01", "2026-03-01", &["2027-02-28T00:00", "2028-02-29T00:00", "2029-02-28T00:00"]),
        ("*-*~07/1", "2026-03-01", &["2026-03-25T00:00", "2026-03-26T00:00", "2026-03-27T00:00"]),
        ("*-*~3/2", "2026-03-01", &["2026-03-29T00:00", "2026-03-31T00:00", "2026-04-28T00:00"]),
        ("Sat,Sun 12:*:00/15", "2026-03-01", &["2026-03-01T12:00", "2026-03-01T12:00:15", "2026-03-01T12:00:30"]),
        ("*:0/15", "2026-03-01", &["2026-03-01T00:15", "2026-03-01T00:30", "2026-03-01T00:45"]),
        ("12,14,13:20,10,30", "2026-03-01", &["2026-03-01T12:10", "2026-03-01T12:20", "2026-03-01T12:30"]),
        ("Mon,Fri *-01/2-01,03 *:30:45", "2026-03-01", &["2026-05-01T00:30:45", "2026-05-01T01:30:45"]),
        ("09..17/2:00", "2026-03-01", &["2026-03-01T09:00", "2026-03-01T11:00", "2026-03-01T13:00"]),
        ("*:*:30..40/3", "2026-03-01", &["2026-03-01T00:00:30", "2026-03-01T00:00:33", "2026-03-01T00:00:36"]),
        ("00:00:00/25", "2026-03-01", &["2026-03-01T00:00:25", "2026-03-01T00:00:50", "2026-03-02T00:00"]),
        ("03-05", "2026-03-01", &["2026-03-05T00:00", "2027-03-05T00:00"]),
        ("26-12-31", "2026-03-01", &["2026-12-31T00:00"]),
        ("*-2-29", "2026-03-01", &["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("2026/2-3-1", "2026-03-01", &["2028-03-01T00:00", "2030-03-01T00:00"]),
        ("2026..2028-3-1", "2026-03-01", &["2027-03-01T00:00", "2028-03-01T00:00"]),
        ("1..5/10-*", "2026-03-01", &["2027-01-01T00:00", "2027-01-02T00:00"]),
        ("Mon-Fri 9:0", "2026-03-01", &["2026-03-02T09:00", "2026-03-03T09:00"]),
        ("Mon, 9:0", "2026-03-01", &["2026-03-02T09:00", "2026-03-09T09:00"]),
        ("Wednesday 2:00", "2026-03-01", &["2026-03-04T02:00", "2026-03-11T02:00"]),
        // The nights on which the clocks change.
        ("*-*-* 02:30:00 Europe/Berlin", "2026-03-27T12:00", &["2026-03-28T01:30", "2026-03-30T00:30"]),
        (
            "*-*-* 02:30:00 Europe/Berlin",
            "2026-10-23T12:00",
            &["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30"],
        ),
        (
            "*-*-* *:00/30:00 Europe/Berlin",
            "2026-10-24T23:10",
            &["2026-10-24T23:30", "2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30"],
        ),
        (
            "*-*-* *:00/30:00 Europe/Berlin",
            "2026-03-29T00:10",
            &["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"],
        ),
        (
            "*-*-* 03:30 America/New_York",
            "2026-03-06",
            &["2026-03-06T08:30", "2026-03-07T08:30", "2026-03-08T07:30", "2026-03-09T07:30"],
        ),
    ];

    fn moment(text: &str) -> Timestamp {
        let full = match text.len() {
            10 => format!("{text}T00:00:00Z"),
            16 => format!("{text}:00Z"),
            _ => format!("{text}Z"),
        };
        full.parse().unwrap()
    }

    #[test]
    fn a_timer_is_expected_when_systemd_starts_it() {
        for (text, base, expected) in TABLE {
            let calendar = OnCalendar::parse(text, None).unwrap();
            let mut at = moment(base);
            for expected in *expected {
                at = calendar.after(at).unwrap_or_else(|| panic!("{text}: never after {at}"));
                assert_eq!(at, moment(expected), "{text} after {base}");
            }
        }
    }

    #[test]
    fn what_systemd_refuses_is_refused_with_the_part_that_is_wrong() {
        for (text, why) in [
            ("Fri..Mon 10:00", "runs backwards"),
            ("*:*/15", "in the minute, `*` is not a whole number from 0 to 59"),
            ("*-*~5..2", "after ~"),
            ("*-*-* 24:00", "in the hour, `24`"),
            ("*-13-1", "in the month, `13`"),
            ("*-*-1 3:00:60", "in the second, `60`"),
            ("*-*-32", "in the day, `32`"),
            ("*-*-0", "in the day, `0`"),
            ("22..4:00", "runs backwards"),
            ("2:00:", "in the second"),
            ("09:00 Mon", "`Mon` is no time zone"),
            ("Nonday 09:00", "`Nonday` is no weekday"),
            ("09:00 Mars/Olympus", "`Mars/Olympus` is no time zone"),
            ("", "cannot stand there"),
            ("09:00 10:00", "`10:00` cannot stand there"),
        ] {
            let said = OnCalendar::parse(text, None).unwrap_err();
            assert!(said.contains(why), "{text:?}: {said}");
        }
    }

    #[test]
    fn what_never_comes_has_no_next_moment() {
        for text in ["*-02-30", "2026-02-31", "2003-03-05", "*-02~30 00:00"] {
            assert_eq!(OnCalendar::parse(text, None).unwrap().after(moment("2026-03-01")), None, "{text}");
        }
    }

    #[test]
    fn a_zone_is_named_once() {
        assert!(OnCalendar::parse("daily UTC", Some("Europe/Berlin")).unwrap_err().contains("its own time zone"));
        let local = OnCalendar::parse("daily", Some("Europe/Berlin")).unwrap();
        assert_eq!(local.after(moment("2026-03-01")).unwrap(), moment("2026-03-01T23:00"));
    }
}
