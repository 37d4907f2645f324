//! Nothing is lost, whenever the process is killed.
//!
//! The binary watches flapping targets and tells channels that fail at random; it is killed with `kill -9` at random
//! moments and started again. Then three ledgers are compared: what the callers of heartbeats were answered, what the
//! database holds, and what the receivers of notices saw. `cargo xtask ledger` runs it long.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{scope, sleep};
use std::time::Duration;

use serde_json::Value;

use crate::support::clock::{now, until, wall_ms};
use crate::support::database::Database;
use crate::support::http::{Manner, Server, get};
use crate::support::random::Random;
use crate::support::sink::{Sink, Told};
use crate::support::watchbell::Home;

/// Monitors whose targets go down and up.
const FLAPPING: usize = 20;
/// Monitors whose targets are always well: a kill of ours must never look like an outage of theirs.
const STEADY: usize = 6;
const CHANNELS: [&str; 3] = ["red", "green", "blue"];
const HEARTBEATS: usize = 6;
/// Kills in the ordinary test run, within [`SHORT`]; `WATCHBELL_LEDGER_KILLS` asks for more and takes as long as they do.
const KILLS: u32 = 8;
const SHORT: Duration = Duration::from_secs(40);
/// The product's clock counts on from a rounded beginning.
const ROUNDING_MS: i64 = 2;
/// Between two heartbeats of a caller: longer than the rounding, so that one is not taken for the next.
const PAUSE: Duration = Duration::from_millis(4);
/// A channel that failed twice is tried again after 10 seconds, more for each failure of the line before it.
const DRAIN: Duration = Duration::from_secs(180);

#[test]
fn nothing_is_lost_when_it_is_killed_on_sqlite() {
    run("SQLite", Database::Sqlite);
}

#[test]
fn nothing_is_lost_when_it_is_killed_on_postgres() {
    run("PostgreSQL", Database::postgres());
}

/// A target that answers 200 or 500.
struct Targets(Vec<AtomicBool>);

/// What one caller of heartbeats knows: the moment at which its last acknowledged call was sent.
#[derive(Default)]
struct Caller {
    acknowledged: Mutex<Acknowledged>,
}

#[derive(Clone, Copy, Default)]
struct Acknowledged {
    count: u64,
    sent_ms: i64,
}

impl Caller {
    fn so_far(&self) -> Acknowledged {
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(name: &str, database: Database) {
    let long = std::env::var("WATCHBELL_LEDGER_KILLS").ok().and_then(|text| text.parse::<u32>().ok());
    let seed = std::env::var("WATCHBELL_LEDGER_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| wall_ms().unsigned_abs());
    println!("{name}: seed {seed} (WATCHBELL_LEDGER_SEED={seed} chooses the same moments again)");
    let mut random = Random::new(seed);

    let targets = Arc::new(Targets((0..FLAPPING).map(|_| AtomicBool::new(true)).collect()));
    let target = Server::start({
        let targets = Arc::clone(&targets);
        move |request| {
            let number = request.path.trim_start_matches("/t").parse::<usize>().ok();
            let is_up = number.and_then(|number| targets.0.get(number)).is_none_or(|up| up.load(Ordering::Relaxed));
            Manner::status(if is_up { 200 } else { 500 })
        }
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sink = Sink::webhook(folder.path());
    sink.behave(moody(Random::new(seed ^ 0xbe11)));
    let home = Home::new(database, &configuration(&target, &sink));
    let callers: Vec<Caller> = (0..HEARTBEATS).map(|_| Caller::default()).collect();
    let ending = AtomicBool::new(false);

    let kills = scope(|threads| {
        threads.spawn(|| flap(&targets, Random::new(seed ^ 0xf1a9), &ending));
        for (number, caller) in callers.iter().enumerate() {
            let (address, ending) = (home.address(), &ending);
            threads.spawn(move || {
                while !ending.load(Ordering::Relaxed) {
                    let sent_ms = wall_ms();
                    if get(address, &format!("/ping/{}", ping_id(number))).is_ok_and(|answer| answer.status == 200) {
                        let mut acknowledged = caller.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                        *acknowledged = Acknowledged { count: acknowledged.count + 1, sent_ms };
                    }
                    sleep(PAUSE);
                }
            });
        }
        // Also when an assertion below fails, the threads must end, or the scope would wait for ever.
        let _end = EndWhenDropped(&ending);
        let end = now() + SHORT;
        let mut kills = 0;
        while kills < long.unwrap_or(KILLS) && (long.is_some() || now() < end) {
            let watchbell = home.start();
            sleep(Duration::from_millis(random.between(200, 2500)));
            watchbell.kill();
            kills += 1;
            for (number, caller) in callers.iter().enumerate() {
                expect_remembered(&home, number, caller.so_far());
            }
        }
        kills
    });

    sink.behave(|_| Manner::status(200));
    for up in &targets.0 {
        up.store(true, Ordering::Relaxed);
    }
    let mut watchbell = home.start();
    until("everything to be up and told", DRAIN, || {
        watchbell.expect_alive();
        let page = watchbell.get("/metrics").ok()?.text();
        let ups = page.lines().filter(|line| line.starts_with("watchbell_monitor_up{") && line.ends_with(" 1")).count();
        let all_up = ups == FLAPPING + STEADY + HEARTBEATS;
        (all_up && unfinished(&home) == 0).then_some(())
    });
    assert_eq!(watchbell.stop().code(), Some(0), "{}", home.log());

    let told = sink.told();
    let books = Books::read(&home);
    books.expect_legal_transitions();
    books.expect_a_notice_for_every_transition();
    books.expect_nothing_lost_and_nothing_made_up(&told, kills);
    books.expect_order(&told);
    if name == "SQLite" {
        assert_eq!(home.rows("pragma integrity_check"), [[Some("ok".to_owned())]]);
    }
    let accepted = told.iter().filter(|told| told.accepted).count();
    println!(
        "{name}: {kills} kills, {} transitions, {} notices, {} requests, {accepted} accepted, {} told twice, {} heartbeats; nothing lost",
        books.transitions.len(),
        books.deliveries.len(),
        told.len(),
        accepted - books.deliveries.len(),
        callers.iter().map(|caller| caller.so_far().count).sum::<u64>(),
    );
    assert!(books.deliveries.len() > kills as usize * 3, "too little happened to prove anything");
}

struct EndWhenDropped<'a>(&'a AtomicBool);

impl Drop for EndWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn configuration(target: &Server, sink: &Sink) -> String {
    let mut text = "channels:\n".to_owned();
    for channel in CHANNELS {
        let _ = writeln!(text, "  {channel}: {{ webhook: {{ url: \"{}\" }} }}", sink.url(&format!("/{channel}")));
    }
    let _ = writeln!(
        text,
        "defaults: {{ interval: 250ms, retry_interval: 250ms, timeout: 5s, failure_threshold: 2, success_threshold: 1, notify: [{}] }}",
        CHANNELS.join(", ")
    );
    text.push_str("monitors:\n");
    for number in 0..FLAPPING + STEADY {
        let kind = if number < FLAPPING { "flapping" } else { "steady" };
        let url = target.url(&format!("/t{number}"));
        let _ = writeln!(text, "  {kind}-{number}: {{ probe: {{ http: {{ url: \"{url}\" }} }} }}");
    }
    for number in 0..HEARTBEATS {
        let _ = writeln!(text, "  beat-{number}: {{ heartbeat: {{ interval: 1h, ping_id: {} }} }}", ping_id(number));
    }
    text
}

fn ping_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Turns one target after the other, each about every two seconds.
fn flap(targets: &Targets, mut random: Random, ending: &AtomicBool) {
    while !ending.load(Ordering::Relaxed) {
        let target = &targets.0[random.below(FLAPPING)];
        target.fetch_xor(true, Ordering::Relaxed);
        sleep(Duration::from_millis(random.between(60, 140)));
    }
}

/// A receiver with moods: one of six first and second tries fails, in one way or another.
fn moody(mut random: Random) -> impl FnMut(&Told) -> Manner + Send + 'static {
    let mut tries: BTreeMap<String, u32> = BTreeMap::new();
    move |told| {
        let tries = tries.entry(told.key.clone().unwrap_or_default()).or_default();
        *tries += 1;
        if *tries > 2 {
            return Manner::status(200);
        }
        match random.below(36) {
            0 | 1 => Manner::status(500),
            2 => Manner::Answer { status: 429, headers: vec![("Retry-After", "1".to_owned())], body: String::new() },
            3 => Manner::Reset,
            4 => Manner::Close,
            5 => Manner::After(Duration::from_millis(300), Box::new(Manner::status(503))),
            6..10 => Manner::After(Duration::from_millis(150), Box::new(Manner::status(200))),
            _ => Manner::status(200),
        }
    }
}

/// The last heartbeat that was answered with 200 is in the database that the killed process left behind.
#[track_caller]
fn expect_remembered(home: &Home, number: usize, acknowledged: Acknowledged) {
    if acknowledged.count == 0 {
        return;
    }
    let sql =
        format!("select s.body from state s join monitor m on m.id = s.monitor_id where m.slug = 'beat-{number}'");
    let rows = home.rows(&sql);
    let body: Value = rows
        .first()
        .and_then(|row| row[0].as_deref())
        .and_then(|body| serde_json::from_str(body).ok())
        .unwrap_or_else(|| panic!("beat-{number} was answered with 200 and has no state: {rows:?}"));
    let heard = body["heard"]["finished"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let heard_ms = heard.map_or(0, jiff::Timestamp::as_millisecond);
    assert!(
        heard_ms + ROUNDING_MS >= acknowledged.sent_ms,
        "beat-{number}: a heartbeat sent at {} was answered with 200, the database knows of none after {heard_ms}",
        acknowledged.sent_ms
    );
}

fn unfinished(home: &Home) -> usize {
    home.rows("select id from delivery where done_at is null").len()
}

/// What the database holds in the end.
struct Books {
    transitions: Vec<Transition>,
    deliveries: Vec<Delivery>,
}

struct Transition {
    monitor: i64,
    slug: String,
    seq: i64,
    old: String,
    new: String,
}

struct Delivery {
    monitor: i64,
    seq: i64,
    channel: String,
    event: String,
    key: String,
    state: String,
}

impl Books {
    fn read(home: &Home) -> Self {
        let text = |row: &[Option<String>], column: usize| row[column].clone().unwrap_or_default();
        let number = |row: &[Option<String>], column: usize| text(row, column).parse::<i64>().expect("a number");
        let transitions = home.rows(
            "select t.monitor_id, m.slug, t.seq, t.old_verdict, t.new_verdict
             from transition t join monitor m on m.id = t.monitor_id order by t.monitor_id, t.seq",
        );
        let deliveries = home.rows("select monitor_id, seq, channel, event, key, state from delivery order by id");
        Self {
            transitions: transitions
                .iter()
                .map(|row| Transition {
                    monitor: number(row, 0),
                    slug: text(row, 1),
                    seq: number(row, 2),
                    old: text(row, 3),
                    new: text(row, 4),
                })
                .collect(),
            deliveries: deliveries
                .iter()
                .map(|row| Delivery {
                    monitor: number(row, 0),
                    seq: number(row, 1),
                    channel: text(row, 2),
                    event: text(row, 3),
                    key: text(row, 4),
                    state: text(row, 5),
                })
                .collect(),
        }
    }

    /// Dense numbers, each beginning where the last one ended; and no outage where there was none.
    fn expect_legal_transitions(&self) {
        let mut last: BTreeMap<i64, (i64, &str)> = BTreeMap::new();
        for Transition { monitor, slug, seq, old, new } in &self.transitions {
            let (last_seq, last_verdict) = last.insert(*monitor, (*seq, new)).unwrap_or((0, "pending"));
            assert_eq!(
                (*seq, old.as_str()),
                (last_seq + 1, last_verdict),
                "{slug}: a transition is missing or doubled"
            );
            assert!(slug.starts_with("flapping") || new != "down", "{slug} was never down, and was said to be");
        }
        for (monitor, (_, verdict)) in last {
            assert_eq!(verdict, "up", "monitor {monitor} does not end up");
        }
    }

    /// Into `down` and out of it: exactly one notice per channel.
    fn expect_a_notice_for_every_transition(&self) {
        let mut notices: BTreeMap<(i64, i64, &str), Vec<&str>> = BTreeMap::new();
        for delivery in &self.deliveries {
            notices.entry((delivery.monitor, delivery.seq, &delivery.event)).or_default().push(&delivery.channel);
        }
        for Transition { monitor, slug, seq, old, new } in &self.transitions {
            let event = match (old.as_str(), new.as_str()) {
                (_, "down") => "down",
                ("down", "up") => "up",
                _ => continue,
            };
            let mut channels = notices.remove(&(*monitor, *seq, event)).unwrap_or_default();
            channels.sort_unstable();
            assert_eq!(channels, ["blue", "green", "red"], "{slug} {seq}: {old} to {new}");
        }
        assert!(notices.is_empty(), "notices without a transition: {notices:?}");
    }

    fn expect_nothing_lost_and_nothing_made_up(&self, told: &[Told], kills: u32) {
        let mut accepted: BTreeMap<&str, u32> = BTreeMap::new();
        for told in told.iter().filter(|told| told.accepted) {
            *accepted.entry(told.key.as_deref().expect("every request has a key")).or_default() += 1;
        }
        for Delivery { key, state, .. } in &self.deliveries {
            assert_eq!(state, "done", "{key}");
            let times = accepted.get(key.as_str()).copied().unwrap_or(0);
            assert!(times > 0, "{key} is marked as delivered and never arrived");
            assert!(times <= 1 + kills, "{key} arrived {times} times with {kills} kills");
        }
        let known: BTreeSet<&str> = self.deliveries.iter().map(|delivery| delivery.key.as_str()).collect();
        for told in told {
            let key = told.key.as_deref().unwrap_or("");
            assert!(known.contains(key), "{key} was told and is not in the database");
        }
    }

    /// Per channel and monitor nothing is told before what came earlier has arrived.
    fn expect_order(&self, told: &[Told]) {
        let mut lines: BTreeMap<(i64, &str), Vec<&str>> = BTreeMap::new();
        for Delivery { monitor, channel, key, .. } in &self.deliveries {
            lines.entry((*monitor, channel)).or_default().push(key);
        }
        let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
        let mut arrived: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, told) in told.iter().enumerate() {
            let key = told.key.as_deref().unwrap_or("");
            tried.entry(key).or_insert(place);
            if told.accepted {
                arrived.entry(key).or_insert(place);
            }
        }
        for keys in lines.values() {
            for pair in keys.windows(2) {
                assert!(arrived[pair[0]] < tried[pair[1]], "{} was told before {} had arrived", pair[1], pair[0]);
            }
        }
    }
}
