//! What people write: one definition for the file, the API, the form and the database.
//! Everything is optional that a default can fill; what is effective is made by [`MonitorSpec::policy`].

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;
use watchbell_core::address::Egress;
use watchbell_core::kind::Complaint;
use watchbell_core::ping::Hearing;
use watchbell_core::policy::Expectation;
use watchbell_core::schedule::Schedule;
use watchbell_core::{Policy, Secret, Slug, Span};
use watchbell_notify::Channel;
use watchbell_probe::Probe;

/// The configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Watchbell configuration")]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The address people reach this installation at, e.g. `https://watch.example.org`. Messages link to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Url>,
    /// The first part of `/ping/<ping_key>/<slug>`, the address jobs call by slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_key: Option<Secret>,
    /// Where people are told, by slug.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<Slug, Channel>,
    /// The channel that hears of notices another channel has refused for good, or has not taken for five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Slug>,
    /// What monitors do unless they say otherwise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: Defaults,
    /// What is watched, by slug.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub monitors: BTreeMap<Slug, MonitorSpec>,
    /// Which addresses checks and messages may reach.
    #[serde(default, skip_serializing_if = "is_default")]
    pub egress: Egress,
    /// How long history is kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retention: Retention,
}

/// How long history is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    /// Results of single checks; 90 days unless set. Incidents are kept for ever.
    #[serde(default = "Retention::results")]
    pub results: Span,
    /// So many of the last pings of each heartbeat, and none older than `results`; 1,000 unless set.
    #[serde(default = "Retention::pings")]
    #[schemars(range(min = 1, max = 100_000))]
    pub pings: u32,
    /// So many bytes of what a job sends along with a ping, its beginning and its end; 10,000 unless set.
    #[serde(default = "Retention::ping_body")]
    #[schemars(range(min = 0, max = 100_000))]
    pub ping_body: u32,
}

impl Retention {
    fn results() -> Span {
        Span::secs(90 * 86_400)
    }

    const fn pings() -> u32 {
        1000
    }

    const fn ping_body() -> u32 {
        10_000
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { results: Self::results(), pings: Self::pings(), ping_body: Self::ping_body() }
    }
}

/// What monitors do unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    /// Time between two checks; 60 seconds unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// Time between re-checks while an outage or a recovery is being confirmed; a third of the interval, 5 to 20 seconds, unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<Span>,
    /// A check that takes longer has failed; 10 seconds unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// So many failures in a row count as down; 3 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: Option<u32>,
    /// So many good answers in a row count as up again; 2 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub success_threshold: Option<u32>,
    /// An answer that takes longer is slow. Not judged unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_above: Option<Span>,
    /// So many slow answers in a row count as degraded; 5 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub slow_threshold: Option<u32>,
    /// While down and not acknowledged, tell again after this long. Never unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_every: Option<Span>,
    /// Tell so many days before a certificate ends; 21, 7 and 1 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_days: Option<Vec<u32>>,
    /// Channels that hear everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Vec<Slug>>,
}

/// One monitor: something we ask (`probe`), or something that calls in (`heartbeat`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Monitor")]
#[serde(deny_unknown_fields)]
pub(crate) struct MonitorSpec {
    /// What people call it; the slug unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub name: Option<String>,
    /// The group it is shown in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub group: Option<String>,
    /// Words to find and filter by, like `prod` or `site:south`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub tags: Vec<String>,
    /// How it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// How it calls in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatSpec>,
    /// Time between two checks; 60 seconds unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub interval: Option<Span>,
    /// Channels that hear everything about this monitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub notify: Option<Vec<Slug>>,
    /// So many failures in a row count as down; 3 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), extend("x-group" = "What counts as down"))]
    pub failure_threshold: Option<u32>,
    /// Time between re-checks while an outage or a recovery is being confirmed; a third of the interval, 5 to 20 seconds, unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as down"))]
    pub retry_interval: Option<Span>,
    /// So many good answers in a row count as up again; 2 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), extend("x-group" = "What counts as down"))]
    pub success_threshold: Option<u32>,
    /// A check that takes longer has failed; 10 seconds unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as down"))]
    pub timeout: Option<Span>,
    /// An answer that takes longer is slow. Not judged unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as down"))]
    pub slow_above: Option<Span>,
    /// So many slow answers in a row count as degraded; 5 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), extend("x-group" = "What counts as down"))]
    pub slow_threshold: Option<u32>,
    /// While down and not acknowledged, tell again after this long. Never unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Reminders"))]
    pub remind_every: Option<Span>,
    /// Tell so many days before a certificate ends; 21, 7 and 1 unless set. An empty list tells never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Reminders"))]
    pub expiry_days: Option<Vec<u32>>,
    /// What the person who is woken should know. Shown on the monitor's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Note"))]
    pub note: Option<String>,
}

/// A heartbeat: a job calls in, and silence is the failure. Either `interval` or `schedule` is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Heartbeat")]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatSpec {
    /// The job calls in at least this often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub interval: Option<Span>,
    /// The job calls in at the moments of this cron line, like `0 3 * * *`, or of this systemd calendar event, like `Mon..Fri 03:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub schedule: Option<String>,
    /// The time zone of `schedule`, like `Europe/Berlin`; UTC unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub timezone: Option<String>,
    /// How late it may be; 1 minute unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Essentials"))]
    pub grace: Option<Span>,
    /// The longest a run may take between its start and its finish; `grace` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as down"))]
    pub max_run: Option<Span>,
    /// A run that finishes sooner than this after its start has failed. Not judged unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "What counts as down"))]
    pub min_run: Option<Span>,
    /// So many failed runs in a row count as down; 1 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), extend("x-group" = "What counts as down"))]
    pub failure_threshold: Option<u32>,
    /// Exit statuses that are a success; 0 alone unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-group" = "What counts as down"))]
    pub accept_exit: Vec<u8>,
    /// A call whose body holds one of these words is a failure. Upper and lower case differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-group" = "Words in the body"))]
    pub failure_words: Vec<String>,
    /// A call whose body holds one of these words is a success; one with none of them is then a failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-group" = "Words in the body"))]
    pub success_words: Vec<String>,
    /// A call whose body holds one of these words, and none of the others, starts a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-group" = "Words in the body"))]
    pub start_words: Vec<String>,
    /// Count silence as down even if Watchbell itself may have been deaf when the call came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("x-group" = "What counts as down"))]
    pub strict: bool,
    /// Also answers at `/ping/<ping_id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Addresses"))]
    pub ping_id: Option<uuid::Uuid>,
    /// Also answers at `/api/push/<push_token>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-group" = "Addresses"))]
    pub push_token: Option<Secret>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Nothing is asked more often than this.
pub(crate) const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
/// No check waits longer than this.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

impl MonitorSpec {
    /// What people call it.
    pub(crate) fn title<'a>(&'a self, slug: &'a Slug) -> &'a str {
        self.name.as_deref().unwrap_or(slug.as_str())
    }

    /// `http`, `tcp`, …, or `heartbeat`.
    pub(crate) fn kind(&self) -> &'static str {
        self.probe.as_ref().map_or("heartbeat", Probe::kind)
    }

    /// What is asked, for people, without credentials.
    pub(crate) fn target(&self) -> String {
        match (&self.probe, &self.heartbeat) {
            (Some(probe), _) => probe.target(),
            (None, Some(beat)) => match (&beat.schedule, &beat.interval) {
                (Some(line), _) => format!("{line} {}", beat.timezone.as_deref().unwrap_or("UTC")),
                (None, Some(interval)) => format!("every {interval}"),
                (None, None) => String::new(),
            },
            (None, None) => String::new(),
        }
    }

    pub(crate) fn channels(&self, defaults: &Defaults) -> Vec<Slug> {
        self.notify.clone().or_else(|| defaults.notify.clone()).unwrap_or_default()
    }

    /// The limit above which an answer is slow.
    pub(crate) fn slow_above(&self, defaults: &Defaults) -> Option<Duration> {
        self.slow_above.or(defaults.slow_above).map(|span| span.0)
    }

    /// The settings of deciding, defaults filled in. Call [`MonitorSpec::validate`] first: a heartbeat that
    /// cannot be understood is left out here.
    pub(crate) fn policy(&self, defaults: &Defaults, rev: u64) -> Policy {
        let length = |own: Option<Span>, general: Option<Span>| own.or(general).map(|span| span.0);
        let interval = match &self.heartbeat {
            Some(beat) => beat.interval.map_or(Policy::INTERVAL, |span| span.0),
            None => length(self.interval, defaults.interval).unwrap_or(Policy::INTERVAL),
        };
        Policy {
            rev,
            interval,
            retry_interval: length(self.retry_interval, defaults.retry_interval)
                .unwrap_or_else(|| Policy::default_retry(interval)),
            timeout: length(self.timeout, defaults.timeout).unwrap_or(Policy::TIMEOUT),
            failure_threshold: self
                .failure_threshold
                .or(defaults.failure_threshold)
                .unwrap_or(Policy::FAILURE_THRESHOLD),
            success_threshold: self
                .success_threshold
                .or(defaults.success_threshold)
                .unwrap_or(Policy::SUCCESS_THRESHOLD),
            slow_threshold: self.slow_threshold.or(defaults.slow_threshold).unwrap_or(Policy::SLOW_THRESHOLD),
            remind_every: length(self.remind_every, defaults.remind_every),
            expiry_days: self
                .expiry_days
                .clone()
                .or_else(|| defaults.expiry_days.clone())
                .unwrap_or_else(|| Policy::EXPIRY_DAYS.to_vec()),
            heartbeat: self.heartbeat.as_ref().and_then(|beat| beat.expectation().ok()),
        }
    }

    /// What parses but cannot work, each with the field and what would work. `known` are the channels there are.
    pub(crate) fn validate(&self, defaults: &Defaults, known: &dyn Fn(&str) -> bool) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut say = |field: &str, sentence: String| complaints.push(Complaint::new(field, sentence));
        match (&self.probe, &self.heartbeat) {
            (None, None) => say("probe", "A monitor needs a `probe` (we ask) or a `heartbeat` (it calls in).".into()),
            (Some(_), Some(_)) => say("heartbeat", "A monitor has either a `probe` or a `heartbeat`, not both.".into()),
            (None, Some(beat)) => {
                if let Err(complaint) = beat.expectation() {
                    say(&format!("heartbeat.{}", complaint.field), complaint.sentence);
                }
                if self.interval.is_some() {
                    say("interval", "A heartbeat's interval is set inside `heartbeat`.".into());
                }
            }
            (Some(_), None) => {}
        }
        let policy = self.policy(defaults, 0);
        if policy.interval < SHORTEST_INTERVAL {
            say("interval", format!("The interval must be at least {}.", Span(SHORTEST_INTERVAL)));
        }
        let set = self.retry_interval.or(defaults.retry_interval).is_some();
        if set && policy.retry_interval < SHORTEST_INTERVAL {
            say("retry_interval", format!("The retry interval must be at least {}.", Span(SHORTEST_INTERVAL)));
        }
        if policy.timeout.is_zero() || policy.timeout > LONGEST_TIMEOUT {
            say("timeout", format!("The timeout must be longer than nothing and at most {}.", Span(LONGEST_TIMEOUT)));
        }
        for (field, value) in [
            ("failure_threshold", policy.failure_threshold),
            ("success_threshold", policy.success_threshold),
            ("slow_threshold", policy.slow_threshold),
        ] {
            if !(1..=100).contains(&value) {
                say(field, format!("`{field}` must be between 1 and 100, not {value}."));
            }
        }
        if policy.remind_every.is_some_and(|every| every < Policy::SHORTEST_REMINDER) {
            say("remind_every", format!("Reminders must be at least {} apart.", Span(Policy::SHORTEST_REMINDER)));
        }
        if self.tags.iter().any(|tag| tag.trim().is_empty() || tag.chars().count() > 64) {
            say("tags", "A tag has 1 to 64 characters.".into());
        }
        for (field, text, longest) in
            [("name", &self.name, 150), ("group", &self.group, 100), ("note", &self.note, 10_000)]
        {
            if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().count() > longest) {
                say(field, format!("`{field}` has 1 to {longest} characters."));
            }
        }
        for channel in self.notify.iter().flatten().filter(|channel| !known(channel.as_str())) {
            say("notify", format!("There is no channel `{channel}`."));
        }
        if let Some(probe) = &self.probe {
            complaints.extend(
                probe
                    .validate()
                    .into_iter()
                    .map(|it| Complaint::new(format!("probe.{}.{}", probe.kind(), it.field), it.sentence)),
            );
        }
        complaints
    }
}

impl HeartbeatSpec {
    fn expectation(&self) -> Result<Expectation, Complaint> {
        let schedule = match (&self.interval, &self.schedule) {
            (Some(interval), None) if interval.0 >= Duration::from_secs(1) => Schedule::Every(interval.0),
            (Some(_), None) => return Err(Complaint::new("interval", "A heartbeat comes at most once a second.")),
            (None, Some(line)) => {
                let zone = self.timezone.as_deref();
                Schedule::written(line, zone).map_err(|sentence| {
                    let zone_is_good = Schedule::cron("0 0 * * *", zone.unwrap_or("UTC")).is_ok();
                    Complaint::new(if zone_is_good { "schedule" } else { "timezone" }, sentence)
                })?
            }
            (Some(_), Some(_)) => {
                return Err(Complaint::new("schedule", "Either `interval` or `schedule`, not both."));
            }
            (None, None) => {
                return Err(Complaint::new("interval", "A heartbeat needs an `interval` or a `schedule`."));
            }
        };
        let failure_threshold = self.failure_threshold.unwrap_or(1);
        if !(1..=100).contains(&failure_threshold) {
            let sentence = format!("`failure_threshold` must be between 1 and 100, not {failure_threshold}.");
            return Err(Complaint::new("failure_threshold", sentence));
        }
        let grace = self.grace.map_or(Expectation::GRACE, |span| span.0);
        let (max_run, min_run) = (self.max_run.map(|span| span.0), self.min_run.map(|span| span.0));
        if min_run.is_some_and(|shortest| shortest >= max_run.unwrap_or(grace)) {
            let longest = Span(max_run.unwrap_or(grace));
            let sentence = format!("No run can succeed: it must take longer than `min_run` and less than {longest}.");
            return Err(Complaint::new("min_run", sentence));
        }
        for (field, words) in [
            ("failure_words", &self.failure_words),
            ("success_words", &self.success_words),
            ("start_words", &self.start_words),
        ] {
            if words.len() > 20 || words.iter().any(|word| word.is_empty() || word.chars().count() > 200) {
                return Err(Complaint::new(field, format!("`{field}` holds at most 20 words of 1 to 200 characters.")));
            }
        }
        let hearing = Hearing {
            good_exits: self.accept_exit.clone(),
            failure_words: self.failure_words.clone(),
            success_words: self.success_words.clone(),
            start_words: self.start_words.clone(),
        };
        Ok(Expectation { schedule, grace, max_run, min_run, failure_threshold, strict: self.strict, hearing })
    }
}
