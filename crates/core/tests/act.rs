//! What can happen in a story, and how it is written on one line.

use std::fmt;
use std::time::Duration;

use watchbell_core::decide::{Event, Observation, Ping, Sight, Signal};
use watchbell_core::policy::Expectation;
use watchbell_core::schedule::Schedule;
use watchbell_core::{Policy, Reason, RunId, Slug, Span, Timestamp};

/// One thing that happens, as text: `down timeout`, `ping`, `clock -1h`, `change interval=30s`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// Time passes; what is due happens.
    Nothing,
    /// Time has passed, and what was due happens only now.
    Late,
    Look {
        sight: Sight,
        when: When,
        old_settings: bool,
        until: Option<Timestamp>,
    },
    Ping {
        signal: Signal,
        when: When,
        /// The number of the run that the sender names.
        run: Option<u128>,
    },
    Snooze {
        for_ms: i64,
    },
    Returned {
        away_ms: i64,
    },
    Clock {
        by_ms: i64,
    },
    Acknowledge,
    Pause,
    Resume,
    Change(Vec<(String, String)>),
    Notify(Vec<Slug>),
    Delete,
}

/// When something was stamped: so many milliseconds ago; if negative, by a clock that has gone back since.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct When(pub(crate) i64);

impl Act {
    /// The event, given the moment and the settings in force. `None` for what is no event.
    pub(crate) fn event(&self, policy: &Policy, now: Timestamp) -> Option<Event> {
        Some(match self {
            Self::Nothing | Self::Late | Self::Notify(_) => return None,
            Self::Look { sight, when, old_settings, until } => Event::Observed(Observation {
                asked_at: now.shifted(-when.0),
                rev: policy.rev - u64::from(*old_settings),
                sight: sight.clone(),
                expires_at: *until,
            }),
            Self::Ping { signal, when, run } => {
                let (at, run) = (now.shifted(-when.0), run.map(RunId::new));
                Event::Pinged(Ping { at, signal: signal.clone(), run })
            }
            Self::Snooze { for_ms } => Event::Snoozed { until: now.shifted(*for_ms) },
            Self::Returned { away_ms } => Event::Returned { away_since: now.shifted(-away_ms) },
            Self::Clock { by_ms } => Event::ClockMoved { by_ms: *by_ms },
            Self::Acknowledge => Event::Acknowledged,
            Self::Pause => Event::Paused,
            Self::Resume => Event::Resumed,
            Self::Change(_) => Event::Changed,
            Self::Delete => Event::Deleted,
        })
    }
}

/// A reason whose name and words are the same.
pub(crate) fn reason(text: &str) -> Reason {
    Reason { code: text.to_owned().into(), text: text.to_owned() }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("."),
            Self::Late => f.write_str("late"),
            Self::Look { sight, when, old_settings, until } => {
                match sight {
                    Sight::Ok => f.write_str("up"),
                    Sight::Slow(why) => write!(f, "slow {}", why.text),
                    Sight::Fail(why) => write!(f, "down {}", why.text),
                    Sight::Local(why) => write!(f, "local {}", why.text),
                    Sight::Missed(why) => write!(f, "missed {}", why.text),
                }?;
                let mut notes = Vec::new();
                notes.extend(when.written());
                notes.extend(old_settings.then(|| "old settings".to_owned()));
                notes.extend(until.map(|until| format!("until {until}")));
                if notes.is_empty() { Ok(()) } else { write!(f, " ({})", notes.join("; ")) }
            }
            Self::Snooze { for_ms } => write!(f, "snooze {}", span(*for_ms)),
            Self::Ping { signal, when, run } => {
                match signal {
                    Signal::Success => f.write_str("ping"),
                    Signal::Start => f.write_str("start"),
                    Signal::Fail(why) => write!(f, "fail {}", why.text),
                    Signal::Log => f.write_str("log"),
                }?;
                let notes: Vec<_> = when.written().into_iter().chain(run.map(|run| format!("run {run}"))).collect();
                if notes.is_empty() { Ok(()) } else { write!(f, " ({})", notes.join("; ")) }
            }
            Self::Returned { away_ms } => write!(f, "returned {}", span(*away_ms)),
            Self::Clock { by_ms } if *by_ms < 0 => write!(f, "clock -{}", span(-by_ms)),
            Self::Clock { by_ms } => write!(f, "clock +{}", span(*by_ms)),
            Self::Acknowledge => f.write_str("acknowledge"),
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Change(settings) => {
                let each: Vec<_> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                write!(f, "change {}", each.join(", "))
            }
            Self::Notify(channels) if channels.is_empty() => f.write_str("notify nobody"),
            Self::Notify(channels) => {
                write!(f, "notify {}", channels.iter().map(Slug::as_str).collect::<Vec<_>>().join(" "))
            }
            Self::Delete => f.write_str("delete"),
        }
    }
}

impl When {
    fn written(self) -> Option<String> {
        match self.0 {
            0 => None,
            ago @ 1.. => Some(format!("{} ago", span(ago))),
            ahead => Some(format!("{} ahead", span(-ahead))),
        }
    }
}

pub(crate) fn span(millis: i64) -> Span {
    Span(Duration::from_millis(u64::try_from(millis).expect("a length is not negative")))
}

pub(crate) fn parse_span(text: &str) -> i64 {
    text.parse::<Span>().unwrap_or_else(|why| panic!("{why}")).0.as_millis() as i64
}

/// Reads what [`fmt::Display`] wrote.
pub(crate) fn parse(text: &str) -> Act {
    let text = text.trim();
    let (text, notes) = match text.strip_suffix(')').and_then(|text| text.split_once(" (")) {
        Some((text, notes)) => (text, notes.split("; ").collect()),
        None => (text, Vec::new()),
    };
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (mut when, mut old_settings, mut until, mut run) = (When(0), false, None, None);
    for note in notes {
        if let Some(ago) = note.strip_suffix(" ago") {
            when = When(parse_span(ago));
        } else if let Some(ahead) = note.strip_suffix(" ahead") {
            when = When(-parse_span(ahead));
        } else if let Some(number) = note.strip_prefix("run ") {
            run = Some(number.parse().unwrap_or_else(|_| panic!("`{number}` is no number of a run")));
        } else if let Some(moment) = note.strip_prefix("until ") {
            until = Some(moment.parse().unwrap_or_else(|why| panic!("{why}")));
        } else {
            assert_eq!(note, "old settings", "unknown note");
            old_settings = true;
        }
    }
    let look = |sight| Act::Look { sight, when, old_settings, until };
    let ping = |signal| Act::Ping { signal, when, run };
    match word {
        "." => Act::Nothing,
        "late" => Act::Late,
        "up" => look(Sight::Ok),
        "slow" => look(Sight::Slow(reason(rest))),
        "down" => look(Sight::Fail(reason(rest))),
        "local" => look(Sight::Local(reason(rest))),
        "missed" => look(Sight::Missed(reason(rest))),
        "ping" => ping(Signal::Success),
        "start" => ping(Signal::Start),
        "fail" => ping(Signal::Fail(reason(rest))),
        "log" => ping(Signal::Log),
        "snooze" => Act::Snooze { for_ms: parse_span(rest) },
        "returned" => Act::Returned { away_ms: parse_span(rest) },
        "clock" => match rest.strip_prefix('-') {
            Some(back) => Act::Clock { by_ms: -parse_span(back) },
            None => Act::Clock { by_ms: parse_span(rest.strip_prefix('+').expect("clock +1h or clock -1h")) },
        },
        "acknowledge" => Act::Acknowledge,
        "pause" => Act::Pause,
        "resume" => Act::Resume,
        "change" => Act::Change(settings(rest)),
        "notify" if rest == "nobody" => Act::Notify(Vec::new()),
        "notify" => Act::Notify(channels(rest)),
        "delete" => Act::Delete,
        other => panic!("nothing called `{other}` can happen"),
    }
}

pub(crate) fn channels(text: &str) -> Vec<Slug> {
    text.split_whitespace().map(|name| name.parse().unwrap_or_else(|why| panic!("{why}"))).collect()
}

/// `key = value, key = value`; commas inside quotes do not separate.
pub(crate) fn settings(text: &str) -> Vec<(String, String)> {
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or_else(|| panic!("`{part}` is not key = value"));
            (key.trim().to_owned(), value.trim().to_owned())
        })
        .collect()
}

/// Applies settings as a story writes them.
pub(crate) fn apply(policy: &mut Policy, settings: &[(String, String)]) {
    let length = |text: &str| Duration::from_millis(parse_span(text) as u64);
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("`{text}` is no number"));
    for (key, value) in settings {
        match key.as_str() {
            "interval" => policy.interval = length(value),
            "retry_interval" => policy.retry_interval = length(value),
            "timeout" => policy.timeout = length(value),
            "failure_threshold" => policy.failure_threshold = number(value),
            "success_threshold" => policy.success_threshold = number(value),
            "slow_threshold" => policy.slow_threshold = number(value),
            "remind_every" => policy.remind_every = (value != "never").then(|| length(value)),
            "expiry_days" => policy.expiry_days = value.split_whitespace().map(number).collect(),
            "heartbeat" => {
                let schedule = schedule(value);
                let kept = policy.heartbeat.take();
                policy.heartbeat = Some(match kept {
                    Some(kept) => Expectation { schedule, ..kept },
                    None => Expectation::new(schedule),
                });
            }
            "grace" => expectation(policy).grace = length(value),
            "max_run" => expectation(policy).max_run = Some(length(value)),
            "min_run" => expectation(policy).min_run = Some(length(value)),
            "fails" => expectation(policy).failure_threshold = number(value),
            "strict" => expectation(policy).strict = value == "yes",
            other => panic!("no setting is called `{other}`"),
        }
    }
}

fn expectation(policy: &mut Policy) -> &mut Expectation {
    policy.heartbeat.as_mut().expect("heartbeat = … comes first")
}

/// `every 60s`, `cron "0 3 * * *" Europe/Berlin`, or `calendar "Mon..Fri 03:00 Europe/Berlin"`.
fn schedule(text: &str) -> Schedule {
    if let Some(length) = text.strip_prefix("every ") {
        return Schedule::Every(Duration::from_millis(parse_span(length) as u64));
    }
    if let Some(event) = text.strip_prefix("calendar ") {
        return Schedule::calendar(event.trim().trim_matches('"'), None).unwrap_or_else(|why| panic!("{why}"));
    }
    let parts: Vec<&str> = text.split('"').collect();
    let [_, line, zone] = parts.as_slice() else { panic!("`{text}` is not like: cron \"0 3 * * *\" Europe/Berlin") };
    Schedule::cron(line, zone.trim()).unwrap_or_else(|why| panic!("{why}"))
}
