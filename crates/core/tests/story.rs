//! A story: settings and a time-line. It can be read, played, and written as it really went.

use std::fmt::Write as _;

use watchbell_core::decide::NoticeKind;
use watchbell_core::route::Routes;
use watchbell_core::{Policy, Slug, Timestamp, Verdict};

use crate::act::{self, Act};
use crate::machine::{Happened, Machine, Rules};

/// Where stories begin that do not say.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_772_323_200); // 2026-03-01T00:00:00Z

#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) start: Timestamp,
    pub(crate) policy: Policy,
    pub(crate) notify: Vec<Slug>,
    /// Whether the story names its channels; then it says who hears what.
    says_who: bool,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
enum Item {
    /// Titles, settings, comments, empty lines: kept as they are.
    Text(String),
    Line(Line),
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// By a stopwatch that began at `start`.
    pub(crate) at_ms: i64,
    /// The moment and what happens as they were written; empty if they have to be made.
    written: String,
    pub(crate) act: Act,
}

impl Story {
    /// A story made up by a program.
    pub(crate) fn new(settings: &[(String, String)], lines: impl IntoIterator<Item = (i64, Act)>) -> Self {
        let mut policy = Policy::default();
        act::apply(&mut policy, settings);
        let header = settings.iter().map(|(key, value)| Item::Text(format!("{key} = {value}")));
        let header: Vec<Item> = header.chain([Item::Text("notify = ops".into()), Item::Text(String::new())]).collect();
        let lines = lines.into_iter().map(|(at_ms, act)| Item::Line(Line { at_ms, written: String::new(), act }));
        let items = header.into_iter().chain(lines).collect();
        Self { start: START, policy, notify: act::channels("ops"), says_who: true, items }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.items.iter().filter_map(|item| if let Item::Line(line) = item { Some(line) } else { None })
    }

    /// The story without one of its lines.
    pub(crate) fn without(&self, index: usize) -> Self {
        let mut shorter = self.clone();
        let places = shorter.items.iter().enumerate().filter(|(_, item)| matches!(item, Item::Line(_)));
        let place = places.map(|(place, _)| place).nth(index).expect("there is such a line");
        shorter.items.remove(place);
        shorter
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut story = Self {
            start: START,
            policy: Policy::default(),
            notify: act::channels("ops"),
            says_who: false,
            items: Vec::new(),
        };
        for line in text.lines() {
            let item = match line.split_once(' ') {
                Some((moment, rest)) if line.starts_with(|c: char| c.is_ascii_digit()) => {
                    let happens = rest.split(" ->").next().unwrap_or(rest).trim();
                    let written = format!("{moment} {happens}");
                    Item::Line(Line { at_ms: moment_ms(moment, story.start), written, act: act::parse(happens) })
                }
                _ => {
                    if !line.starts_with('#') && !line.trim().is_empty() {
                        story.set(act::settings(line));
                    }
                    Item::Text(line.to_owned())
                }
            };
            story.items.push(item);
        }
        story
    }

    fn set(&mut self, mut settings: Vec<(String, String)>) {
        settings.retain(|(key, value)| match key.as_str() {
            "start" => {
                self.start = value.parse().unwrap_or_else(|why| panic!("{why}"));
                false
            }
            "notify" => {
                (self.notify, self.says_who) = (act::channels(value), true);
                false
            }
            _ => true,
        });
        act::apply(&mut self.policy, &settings);
    }

    fn machine(&self, rules: Rules) -> Machine {
        Machine::new(rules, self.policy.clone(), Routes { notify: self.notify.clone() }, self.start)
    }

    /// Plays the story to its end, or to the first thing that is wrong.
    pub(crate) fn play(&self, rules: Rules, with_reference: bool) -> Result<(), String> {
        let machine = self.machine(rules);
        let mut machine = if with_reference { machine.with_reference() } else { machine };
        for line in self.lines() {
            machine.play(self.start.shifted(line.at_ms), &line.act)?;
        }
        Ok(())
    }

    /// The story as it really goes, and what was wrong with it if anything was.
    pub(crate) fn as_it_goes(&self, rules: Rules) -> (String, Result<(), String>) {
        let mut machine = self.machine(rules).with_reference();
        let mut rows: Vec<(String, String)> = Vec::new();
        let mut outcome = Ok(());
        for item in &self.items {
            let line = match item {
                Item::Text(text) => {
                    rows.push((text.clone(), String::new()));
                    continue;
                }
                Item::Line(line) => line,
            };
            match machine.play(self.start.shifted(line.at_ms), &line.act) {
                Ok(happened) => {
                    for happened in happened {
                        let told = self.told(&happened, machine.wall().as_millis() - machine.boot().as_millis());
                        match &happened.act {
                            Some(_) if !line.written.is_empty() => rows.push((line.written.clone(), told)),
                            Some(act) => rows.push((format!("{} {act}", self.moment(happened.boot)), told)),
                            None if happened.is_quiet() => {}
                            None => rows.push((format!("{} .", self.moment(happened.boot)), told)),
                        }
                    }
                }
                Err(why) => {
                    rows.push((
                        format!("{} {}", self.moment(self.start.shifted(line.at_ms)), line.act),
                        format!("!! {why}"),
                    ));
                    outcome = Err(why);
                    break;
                }
            }
        }
        (laid_out(&rows), outcome)
    }

    /// A moment as this story writes moments: minutes and seconds, or the date if it does so elsewhere.
    fn moment(&self, boot: Timestamp) -> String {
        if self.lines().any(|line| line.written.split(' ').next().is_some_and(|moment| moment.contains('T'))) {
            return boot.to_string().replace(".000Z", "Z").replace(":00Z", "Z");
        }
        let millis = boot.as_millis() - self.start.as_millis();
        let (minutes, seconds, rest) = (millis / 60_000, millis / 1000 % 60, millis % 1000);
        let rest = if rest == 0 { String::new() } else { format!(".{rest:03}") };
        format!("{minutes:02}:{seconds:02}{rest}")
    }

    /// What came of one event, in words.
    fn told(&self, happened: &Happened, leap_ms: i64) -> String {
        let now = happened.boot.shifted(leap_ms);
        let mut words = Vec::new();
        let mut moved = happened.transition.clone();
        for (notice, to) in &happened.notices {
            // No length of time is negative, whatever the clock did in it.
            let between = |from: Timestamp, to: Timestamp| act::span((to.as_millis() - from.as_millis()).max(0));
            let mut said = match notice.kind {
                NoticeKind::Down => format!("opened: {}", notice.reason.text),
                NoticeKind::Degraded => format!("degraded: {}", notice.reason.text),
                NoticeKind::Up => match notice.incident {
                    Some((_, since)) => format!("resolved after {}", between(since, notice.since)),
                    None => "quick again".into(),
                },
                NoticeKind::Reminder => {
                    format!("reminded ({}) after {}", notice.reminder.unwrap_or(0), between(notice.since, now))
                }
                NoticeKind::Expiry => notice.reason.text.split(", on").next().unwrap_or_default().replace("The c", "c"),
                NoticeKind::Closed if moved.is_some() => format!("closed: {}", notice.reason.code),
                NoticeKind::Closed => format!("closed while unknown: {}", notice.reason.code),
            };
            if self.says_who {
                let names: Vec<&str> = to.iter().map(Slug::as_str).collect();
                said = format!("{said} ({})", if names.is_empty() { "nobody".into() } else { names.join(" ") });
            }
            // Its transition is said with it, but for a certificate and a reminder, which have none.
            if !matches!(notice.kind, NoticeKind::Expiry | NoticeKind::Reminder) {
                moved = None;
            }
            words.push(said);
        }
        if let Some(moved) = moved {
            words.insert(
                0,
                match moved.new {
                    Verdict::Unknown => format!("unknown: {}", moved.reason.text),
                    Verdict::Up if moved.old == Verdict::Down => "up, nobody waits to hear it".into(),
                    other => other.name().into(),
                },
            );
        }
        words.join(", ")
    }
}

/// `mm:ss`, `hh:mm:ss`, or a date like `2026-03-29T01:00Z`, as milliseconds after the start.
fn moment_ms(text: &str, start: Timestamp) -> i64 {
    if text.contains('T') {
        let full = if text.matches(':').count() == 1 { text.replace('Z', ":00Z") } else { text.to_owned() };
        let moment: Timestamp = full.parse().unwrap_or_else(|why| panic!("{why}"));
        return moment.as_millis() - start.as_millis();
    }
    let millis = |part: &str| (part.parse::<f64>().unwrap_or_else(|_| panic!("`{text}` is no moment")) * 1000.0) as i64;
    text.split(':').fold(0, |sum, part| sum * 60 + millis(part))
}

fn laid_out(rows: &[(String, String)]) -> String {
    let told = rows.iter().filter(|(_, told)| !told.is_empty());
    let width = told.map(|(left, _)| left.chars().count()).max().unwrap_or(0).min(48);
    let mut text = String::new();
    for (left, told) in rows {
        if told.is_empty() {
            text.push_str(left);
        } else {
            let _ = write!(text, "{left:width$} -> {told}");
        }
        text.push('\n');
    }
    text
}
