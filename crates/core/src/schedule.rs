//! "Every 30 s", cron or a systemd calendar event in a time zone: the next moment. And the grid of slots on which
//! monitors are asked.

mod on_calendar;

use std::time::Duration;

pub use on_calendar::OnCalendar;

use crate::Timestamp;

/// When something recurring is expected next.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// So long after the last time.
    Every(Duration),
    /// At the moments of a cron line in a time zone.
    Cron(Box<Cron>),
    /// When systemd would start a timer.
    Calendar(Box<OnCalendar>),
}

/// Any year will do to find out whether something ever comes: the Gregorian calendar repeats.
const A_YEAR: Timestamp = Timestamp::from_secs(1_750_000_000);

/// A parsed cron line with its zone.
#[derive(Clone, Debug)]
pub struct Cron {
    line: String,
    zone_name: String,
    pattern: croner::Cron,
    zone: jiff::tz::TimeZone,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Every(a), Self::Every(b)) => a == b,
            (Self::Cron(a), Self::Cron(b)) => a.line == b.line && a.zone_name == b.zone_name,
            (Self::Calendar(a), Self::Calendar(b)) => a.text == b.text && a.zone_name == b.zone_name,
            _ => false,
        }
    }
}

impl Schedule {
    /// Parses a cron line (five fields, or six with seconds; names, lists, steps, `L`, `W`, `#`, `@daily`).
    /// A line that never comes ("31 February") is refused here, not found out at night.
    pub fn cron(line: &str, zone_name: &str) -> Result<Self, String> {
        let zone = jiff::tz::TimeZone::get(zone_name)
            .map_err(|_| format!("`{zone_name}` is no time zone; write it like Europe/Berlin or UTC"))?;
        let pattern: croner::Cron = line.parse().map_err(|why| format!("`{line}` is no cron line: {why}"))?;
        let cron = Cron { line: line.to_owned(), zone_name: zone_name.to_owned(), pattern, zone };
        cron.after(A_YEAR).ok_or_else(|| format!("`{line}` never comes: no such day exists"))?;
        Ok(Self::Cron(Box::new(cron)))
    }

    /// Parses a systemd calendar event: `Mon..Fri 09:00`, `*-*~02 22:00`, `daily`. It may name its own zone.
    pub fn calendar(text: &str, zone_name: Option<&str>) -> Result<Self, String> {
        let calendar = OnCalendar::parse(text, zone_name)?;
        calendar.after(A_YEAR).ok_or_else(|| format!("`{text}` never comes: no such day lies ahead"))?;
        Ok(Self::Calendar(Box::new(calendar)))
    }

    /// Parses either: a cron line has five or six words or begins with `@`, a calendar event has four at most.
    pub fn written(text: &str, zone_name: Option<&str>) -> Result<Self, String> {
        let is_cron = text.trim_start().starts_with('@') || text.split_whitespace().count() >= 5;
        if is_cron { Self::cron(text, zone_name.unwrap_or("UTC")) } else { Self::calendar(text, zone_name) }
    }

    /// Whether it goes by the clock on the wall, not by what came last.
    pub const fn is_by_the_wall(&self) -> bool {
        !matches!(self, Self::Every(_))
    }

    /// The first moment strictly after `last`.
    pub fn after(&self, last: Timestamp) -> Timestamp {
        match self {
            Self::Every(length) => last + *length,
            Self::Cron(cron) => cron.after(last).unwrap_or(Timestamp::NEVER),
            Self::Calendar(calendar) => calendar.after(last).unwrap_or(Timestamp::NEVER),
        }
    }

    /// A length that stands for one period: the interval, or the distance of the next two moments.
    pub fn period(&self, around: Timestamp) -> Duration {
        let next = self.after(around);
        match self {
            Self::Every(length) => *length,
            Self::Cron(_) | Self::Calendar(_) => self.after(next).since(next),
        }
    }
}

impl Cron {
    fn after(&self, last: Timestamp) -> Option<Timestamp> {
        let from = last.to_jiff().to_zoned(self.zone.clone());
        let next = self.pattern.find_next_occurrence(&from, false).ok()?;
        Some(Timestamp::from_millis(next.timestamp().as_millisecond()))
    }
}

/// The grid of one monitor. It depends on nothing but its number and interval, so that every node and every
/// restart goes on with the same one, and thousands of monitors are spread over the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    interval_ms: i64,
    anchor_ms: i64,
}

impl Grid {
    pub fn new(monitor: i64, interval: Duration) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        // SplitMix64's finisher: neighbouring numbers land far apart.
        let mut mixed = (monitor as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        Self { interval_ms, anchor_ms: (mixed % interval_ms as u64) as i64 }
    }

    /// The number of the slot that `moment` lies in.
    pub const fn slot(self, moment: Timestamp) -> i64 {
        (moment.as_millis() - self.anchor_ms).div_euclid(self.interval_ms)
    }

    /// When a slot begins.
    pub const fn start(self, slot: i64) -> Timestamp {
        Timestamp::from_millis(slot * self.interval_ms + self.anchor_ms)
    }

    /// The first slot that begins after `moment`.
    pub const fn next(self, moment: Timestamp) -> i64 {
        self.slot(moment) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(line: &str, zone: &str, after: &str) -> String {
        Schedule::cron(line, zone).unwrap().after(after.parse().unwrap()).to_string()
    }

    #[test]
    fn cron_speaks_the_zone_of_the_person() {
        assert_eq!(next("0 3 * * *", "Europe/Berlin", "2026-01-10T12:00:00Z"), "2026-01-11T02:00:00.000Z");
        assert_eq!(next("0 3 * * *", "Europe/Berlin", "2026-07-10T12:00:00Z"), "2026-07-11T01:00:00.000Z");
    }

    #[test]
    fn the_expected_moment_is_strictly_after_the_last_one() {
        assert_eq!(next("51 22 * * *", "UTC", "2026-01-10T22:51:00Z"), "2026-01-11T22:51:00.000Z");
    }

    #[test]
    fn a_day_that_never_comes_is_refused() {
        assert!(Schedule::cron("0 0 31 2 *", "UTC").unwrap_err().contains("never comes"));
        assert!(Schedule::cron("61 * * * *", "UTC").unwrap_err().contains("is no cron line"));
        assert!(Schedule::cron("0 0 * * *", "Mars/Olympus").unwrap_err().contains("is no time zone"));
    }

    #[test]
    fn a_schedule_is_a_cron_line_or_a_calendar_event() {
        let next = |text: &str| {
            let schedule = Schedule::written(text, None).unwrap();
            schedule.after("2026-03-01T00:00:00Z".parse().unwrap()).to_string()
        };
        assert_eq!(next("0 3 * * *"), next("*-*-* 03:00"));
        assert_eq!(next("@daily"), next("daily"));
        assert_eq!(next("30 0 9 * * MON"), next("Mon 09:00:30"));
        let said = Schedule::written("*-02-31", None).unwrap_err();
        assert!(said.contains("`*-02-31` never comes"), "{said}");
    }

    /// Every minute of the two months in which clocks change, looked at one by one.
    #[test]
    fn schedules_match_a_calendar_that_is_leafed_through() {
        let zones =
            ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/St_Johns", "Pacific/Auckland", "UTC"];
        // What each means, by minute, hour, day and weekday (Monday is 1), away from the hours that are leapt over.
        type Meaning = fn(i8, i8, i8, i8) -> bool;
        let lines: [(&str, &str, Meaning); 5] = [
            ("15 9 * * 1-5", "Mon..Fri 09:15", |minute, hour, _, weekday| minute == 15 && hour == 9 && weekday <= 5),
            ("0 4-20/4 * * *", "*-*-* 04..20/4:00", |minute, hour, _, _| minute == 0 && hour % 4 == 0 && hour >= 4),
            ("30 12 1,15 * *", "*-*-1,15 12:30", |minute, hour, day, _| {
                minute == 30 && hour == 12 && [1, 15].contains(&day)
            }),
            ("*/20 6 * * *", "*-*-* 06:00/20", |minute, hour, _, _| minute % 20 == 0 && hour == 6),
            ("5 23 * * 6,7", "Sat,Sun 23:05", |minute, hour, _, weekday| minute == 5 && hour == 23 && weekday >= 6),
        ];
        for zone in zones {
            let local = jiff::tz::TimeZone::get(zone).unwrap();
            for from in ["2026-03-01T00:00:00Z", "2026-09-15T00:00:00Z", "2026-10-20T00:00:00Z"] {
                let from: Timestamp = from.parse().unwrap();
                let minutes = (1..45 * 1440).map(|minute| from.shifted(minute * 60_000));
                let moments: Vec<_> = minutes.map(|at| (at, at.to_jiff().to_zoned(local.clone()))).collect();
                for (line, event, meaning) in &lines {
                    let expected: Vec<Timestamp> = moments
                        .iter()
                        .filter(|(_, it)| {
                            meaning(it.minute(), it.hour(), it.day(), it.weekday().to_monday_one_offset())
                        })
                        .map(|(at, _)| *at)
                        .collect();
                    for schedule in [Schedule::cron(line, zone), Schedule::calendar(event, Some(zone))] {
                        let schedule = schedule.unwrap();
                        let mut at = from;
                        for expected in &expected {
                            at = schedule.after(at);
                            assert_eq!(at, *expected, "{schedule:?} in {zone}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn slots_tile_time() {
        let grid = Grid::new(7, Duration::from_secs(60));
        let moment = Timestamp::from_secs(1_750_000_000);
        let slot = grid.slot(moment);
        assert!(grid.start(slot) <= moment && moment < grid.start(slot + 1));
        assert_eq!(grid.start(slot + 1).since(grid.start(slot)), Duration::from_secs(60));
        assert_eq!(grid.next(grid.start(slot)), slot + 1);
    }

    #[test]
    fn monitors_are_spread_over_the_interval() {
        let mut tenths = [0; 10];
        for monitor in 0..1000 {
            let start = Grid::new(monitor, Duration::from_secs(60)).start(0).as_millis();
            tenths[(start / 6000) as usize] += 1;
        }
        assert!(tenths.iter().all(|&n| n > 60), "{tenths:?}");
    }
}
