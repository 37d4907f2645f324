//! Random stories from a seed: the same seed, the same story, on every machine.

use watchbell_core::decide::{Sight, Signal};

use crate::act::{Act, When, channels, reason};
use crate::story::{START, Story};

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without it.
    pub(crate) fn below(&mut self, end: i64) -> i64 {
        (self.next() % end.unsigned_abs().max(1)) as i64
    }

    pub(crate) fn in_hundred(&mut self, chance: i64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as i64) as usize]
    }
}

const DAY_MS: i64 = 86_400_000;

/// One story of 20 to 60 lines.
pub(crate) fn story(seed: u64) -> Story {
    let mut random = Random::new(seed);
    // Cron takes most of the time and has the fewest turns of its own.
    let form = match random.below(40) {
        0 => Form::Cron,
        1..10 => Form::Every,
        _ => Form::Probe,
    };
    let settings = settings(&mut random, form);
    let mut writer = Writer { random, form, mood: 0, paused: false, at_ms: 0, lines: Vec::new() };
    let length = 20 + writer.random.below(41);
    for _ in 0..length {
        writer.line();
    }
    if writer.random.in_hundred(15) {
        writer.lines.push((writer.at_ms, Act::Delete));
    }
    Story::new(&settings, writer.lines)
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Probe,
    Every,
    Cron,
}

impl Form {
    /// About how often something is expected.
    const fn unit_ms(self) -> i64 {
        match self {
            Self::Probe | Self::Every => 60_000,
            Self::Cron => 6 * 3_600_000,
        }
    }
}

fn settings(random: &mut Random, form: Form) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut set = |key: &str, value: &str| settings.push((key.to_owned(), value.to_owned()));
    set("interval", random.pick(&["20s", "30s", "1m", "5m"]));
    set("retry_interval", random.pick(&["5s", "10s", "20s", "2m"]));
    set("timeout", random.pick(&["1s", "10s"]));
    set("failure_threshold", random.pick(&["1", "2", "3", "4"]));
    set("success_threshold", random.pick(&["1", "2", "3"]));
    set("slow_threshold", random.pick(&["1", "2", "3"]));
    set("expiry_days", random.pick(&["21 7 1", "14", "1 30 3"]));
    match form {
        Form::Probe => set("remind_every", random.pick(&["never", "1m", "5m", "15m"])),
        Form::Every => {
            set("remind_every", random.pick(&["never", "2m", "10m"]));
            set("heartbeat", random.pick(&["every 1m", "every 30s", "every 5m"]));
            set("grace", random.pick(&["10s", "1m", "5m"]));
        }
        Form::Cron => {
            set("remind_every", random.pick(&["never", "3h", "1d"]));
            // The stories begin in March: some run into the change to summer time.
            let crons = [
                "cron \"0 3 * * *\" Europe/Berlin",
                "cron \"30 2 * * *\" America/New_York",
                "cron \"0 */6 * * *\" UTC",
                "cron \"15 8 * * 1-5\" Asia/Kolkata",
                "calendar \"*-*-* 02:30 Europe/Berlin\"",
            ];
            set("heartbeat", random.pick(&crons));
            set("grace", random.pick(&["1m", "30m", "3h"]));
        }
    }
    if form != Form::Probe && random.in_hundred(50) {
        set("max_run", random.pick(&["20s", "10m", "4h"]));
    }
    if form != Form::Probe {
        set("min_run", random.pick(&["0s", "0s", "5s", "1m"]));
        set("fails", random.pick(&["1", "1", "2", "3"]));
        set("strict", random.pick(&["no", "no", "yes"]));
    }
    settings
}

struct Writer {
    random: Random,
    form: Form,
    /// Which answer is likely just now.
    mood: usize,
    paused: bool,
    at_ms: i64,
    lines: Vec<(i64, Act)>,
}

impl Writer {
    fn line(&mut self) {
        let unit = self.form.unit_ms();
        let step = match self.random.below(100) {
            0..5 => 0,
            5..40 => unit / self.random.pick(&[12, 6, 3]),
            40..80 => unit,
            80..97 => self.random.below(3 * unit),
            _ => self.random.below(40 * unit),
        };
        self.at_ms += step;
        let act = match self.random.below(100) {
            0..3 => Act::Acknowledge,
            3..5 => {
                self.paused = true;
                Act::Pause
            }
            5..7 => {
                self.paused = false;
                Act::Resume
            }
            7..9 => Act::Change(settings(&mut self.random, self.form)),
            9..12 => {
                let away_ms = self.random.below(step.max(1) + 1);
                Act::Returned { away_ms }
            }
            12..14 => Act::Clock {
                by_ms: self.random.pick(&[
                    5000,
                    -5000,
                    3_600_000,
                    -3_600_000,
                    DAY_MS,
                    -DAY_MS,
                    3653 * DAY_MS,
                    -3653 * DAY_MS,
                ]),
            },
            14..16 => {
                let routes = ["ops", "ops night", "night", "", "ops ops mail"];
                Act::Notify(channels(self.random.pick(&routes)))
            }
            16..18 => Act::Late,
            18..21 => Act::Nothing,
            21 if self.form != Form::Probe => Act::Snooze { for_ms: self.random.pick(&[0, unit / 2, 3 * unit]) },
            21 => Act::Nothing,
            _ if self.paused && self.random.in_hundred(25) => {
                self.paused = false;
                Act::Resume
            }
            _ if self.form == Form::Probe => self.look(),
            _ => self.ping(),
        };
        self.lines.push((self.at_ms, act));
    }

    fn look(&mut self) -> Act {
        if self.random.in_hundred(15) {
            self.mood = self.random.below(4) as usize;
        }
        let mood = if self.random.in_hundred(85) { self.mood } else { self.random.below(4) as usize };
        let number = self.random.below(3);
        let sight = match mood {
            0 => Sight::Ok,
            1 => Sight::Fail(reason(&format!("failure {number}"))),
            2 => Sight::Slow(reason(&format!("slowness {number}"))),
            _ if number == 0 => Sight::Missed(reason("overload")),
            _ => Sight::Local(reason(&format!("trouble {number}"))),
        };
        let until = self.random.in_hundred(10).then(|| {
            let half_days = self.random.pick(&[1, 5, 19, 41, 800]);
            START.shifted(half_days * DAY_MS / 2)
        });
        Act::Look { sight, when: self.stamp(), old_settings: self.random.in_hundred(4), until }
    }

    fn ping(&mut self) -> Act {
        let signal = match self.random.below(100) {
            0..60 => Signal::Success,
            60..80 => Signal::Start,
            80..92 => Signal::Fail(reason("exit status 1")),
            _ => Signal::Log,
        };
        let run = self.random.in_hundred(30).then(|| self.random.below(4) as u128);
        Act::Ping { signal, when: self.stamp(), run }
    }

    /// Mostly a moment ago, sometimes long ago, rarely by a clock that has gone back since.
    fn stamp(&mut self) -> When {
        match self.random.below(100) {
            0..70 => When(self.random.below(900)),
            70..93 => When(self.random.below(10_000)),
            93..98 => When(self.random.below(600_000).min(self.at_ms)),
            _ => When(-(self.random.below(3653) * DAY_MS)),
        }
    }
}
