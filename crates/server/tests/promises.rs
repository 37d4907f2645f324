//! The promises that are not about a crash: slow and broken channels, our own trouble, a lost node.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::support::clock::{now, until};
use crate::support::database::Database;
use crate::support::http::{Manner, Server};
use crate::support::sink::Sink;
use crate::support::watchbell::{Home, Watchbell};

/// An outage is confirmed within a second at these intervals; the rest is patience with a busy machine.
const QUICK: &str = "interval: 250ms, retry_interval: 250ms, timeout: 2s, failure_threshold: 2, success_threshold: 1";
const SOON: Duration = Duration::from_secs(20);

/// A target that is up while the switch is.
fn switched() -> (Server, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(true));
    let server = Server::start({
        let up = Arc::clone(&up);
        move |_| Manner::status(if up.load(Ordering::Relaxed) { 200 } else { 503 })
    });
    (server, up)
}

fn monitors(server: &Server, count: usize) -> String {
    let mut text = "monitors:\n".to_owned();
    for number in 0..count {
        let _ = writeln!(text, "  m{number}: {{ probe: {{ http: {{ url: \"{}\" }} }} }}", server.url("/"));
    }
    text
}

/// How many monitors are up (`1`) or down (`0`).
fn count(watchbell: &Watchbell<'_>, value: u8) -> Option<usize> {
    let page = watchbell.get("/metrics").ok()?.text();
    let end = format!(" {value}");
    Some(page.lines().filter(|line| line.starts_with("watchbell_monitor_up{") && line.ends_with(&end)).count())
}

#[track_caller]
fn wait_until_up(watchbell: &Watchbell<'_>, monitors: usize) {
    until("everything to be up", SOON, || (count(watchbell, 1)? == monitors).then_some(()));
}

fn went_down(home: &Home) -> usize {
    home.rows("select seq from transition where new_verdict = 'down'").len()
}

#[test]
fn a_channel_that_hangs_delays_no_other() {
    let (server, up) = switched();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (quick, hanging) = (Sink::webhook(folder.path()), Sink::webhook(folder.path()));
    hanging.behave(|_| Manner::Hang);
    let configuration = format!(
        "channels:\n  hanging: {{ webhook: {{ url: \"{}\" }} }}\n  quick: {{ webhook: {{ url: \"{}\" }} }}\n\
         defaults: {{ {QUICK}, notify: [hanging, quick] }}\n{}",
        hanging.url("/"),
        quick.url("/"),
        monitors(&server, 20)
    );
    let home = Home::new(Database::Sqlite, &configuration);
    let watchbell = home.start();
    wait_until_up(&watchbell, 20);
    up.store(false, Ordering::Relaxed);
    until("twenty outages to be told", Duration::from_secs(8), || (quick.accepted().len() == 20).then_some(()));
    assert!(!hanging.told().is_empty(), "the other channel was not even tried");
    up.store(true, Ordering::Relaxed);
    until("twenty recoveries to be told", Duration::from_secs(8), || (quick.accepted().len() == 40).then_some(()));
}

#[test]
fn a_notice_that_is_refused_for_good_is_kept_as_dead_and_the_fallback_channel_hears_of_it() {
    let (server, up) = switched();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (gone, fallback) = (Sink::webhook(folder.path()), Sink::webhook(folder.path()));
    gone.behave(|_| Manner::status(404));
    let configuration = format!(
        "channels:\n  gone: {{ webhook: {{ url: \"{}\" }} }}\n  last: {{ webhook: {{ url: \"{}\" }} }}\nfallback: last\n\
         defaults: {{ {QUICK}, notify: [gone] }}\n{}",
        gone.url("/"),
        fallback.url("/"),
        monitors(&server, 1)
    );
    let home = Home::new(Database::Sqlite, &configuration);
    let watchbell = home.start();
    wait_until_up(&watchbell, 1);
    up.store(false, Ordering::Relaxed);
    let told = fallback.wait_for("the fallback to hear", SOON, |told| told.monitor_and_event() == ("m0", "down"));
    assert_ne!(told.key, gone.told()[0].key, "another channel's notice has a key of its own");
    assert_eq!(gone.told().len(), 1, "what is refused for good is not tried again");
    assert_eq!(home.rows("select channel from delivery where state = 'dead'"), [[Some("gone".to_owned())]]);
    assert_eq!(watchbell.metric("watchbell_deliveries_dead_total"), Some(1.0));
}

#[test]
fn a_locked_database_is_nobodys_outage_and_no_heartbeat_is_acknowledged_meanwhile() {
    let (server, _up) = switched();
    let ping = "/ping/00000000-0000-4000-8000-000000000001";
    let configuration = format!(
        "defaults: {{ {QUICK} }}\n{}  beat: {{ heartbeat: {{ interval: 1h, ping_id: 00000000-0000-4000-8000-000000000001 }} }}\n",
        monitors(&server, 5)
    );
    let home = Home::new(Database::Sqlite, &configuration);
    let mut watchbell = home.start();
    wait_until_up(&watchbell, 5);

    let lock = rusqlite::Connection::open(home.data().join("watchbell.db")).expect("the server's database");
    lock.busy_timeout(SOON).expect("a time limit");
    lock.execute_batch("begin immediate").expect("the lock");
    let answer = watchbell.get(ping).expect("an answer");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.headers.get("retry-after").is_some(), "the caller is not told when to call again");
    sleep(Duration::from_secs(3));
    lock.execute_batch("rollback").expect("the end of the lock");

    until("heartbeats again", SOON, || (watchbell.get(ping).ok()?.status == 200).then_some(()));
    wait_until_up(&watchbell, 6);
    assert_eq!(went_down(&home), 0, "our own trouble was counted as an outage");
    watchbell.expect_alive();
}

#[test]
fn too_few_file_descriptors_are_nobodys_outage() {
    const MONITORS: usize = 150;
    let slow = Server::start(|_| Manner::After(Duration::from_millis(400), Box::new(Manner::status(200))));
    let configuration = format!("defaults: {{ {QUICK} }}\n{}", monitors(&slow, MONITORS));
    let home = Home::new(Database::Sqlite, &configuration).limit_files(45);
    let mut watchbell = home.start();
    sleep(Duration::from_secs(6));
    watchbell.expect_alive();
    assert_eq!(watchbell.stop().code(), Some(0), "{}", home.log());
    assert_eq!(went_down(&home), 0, "our own trouble was counted as an outage");
    assert!(!home.rows("select seq from transition where new_verdict = 'up'").is_empty(), "nothing was watched at all");
    assert!(
        !home.rows("select seq from transition where code = 'descriptors'").is_empty(),
        "there were enough of them"
    );
}

#[test]
fn what_happened_while_nobody_watched_is_not_told_as_if_it_had_been_seen() {
    let (server, up) = switched();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sink = Sink::webhook(folder.path());
    let configuration = format!(
        "channels:\n  ops: {{ webhook: {{ url: \"{}\" }} }}\ndefaults: {{ {QUICK}, notify: [ops] }}\n{}",
        sink.url("/"),
        monitors(&server, 3)
    );
    let home = Home::new(Database::Sqlite, &configuration);
    let watchbell = home.start();
    wait_until_up(&watchbell, 3);
    watchbell.kill();
    up.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(1));
    up.store(true, Ordering::Relaxed);
    let watchbell = home.start();
    wait_until_up(&watchbell, 3);
    sleep(Duration::from_secs(2));
    assert!(sink.told().is_empty(), "an outage that nobody saw was told");

    watchbell.kill();
    up.store(false, Ordering::Relaxed);
    let _watchbell = home.start();
    until("the outages that go on to be told", SOON, || (sink.accepted().len() == 3).then_some(()));
}

#[test]
fn another_node_takes_over_when_one_dies() {
    /// The lease of 15 seconds, a second to notice, and loading.
    const PROMISED: Duration = Duration::from_secs(18);
    let (server, up) = switched();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sink = Sink::webhook(folder.path());
    let configuration = format!(
        "channels:\n  ops: {{ webhook: {{ url: \"{}\" }} }}\ndefaults: {{ {QUICK}, notify: [ops] }}\n{}",
        sink.url("/"),
        monitors(&server, 3)
    );
    let first = Home::new(Database::postgres(), &configuration);
    let second = first.beside(&configuration);
    let active = first.start();
    wait_until_up(&active, 3);
    let mut standing_by = second.start_standing_by();
    sleep(Duration::from_secs(2));
    standing_by.expect_alive();

    active.kill();
    let died = now();
    up.store(false, Ordering::Relaxed);
    until("the other node to tell of the outages", PROMISED + Duration::from_secs(3), || {
        standing_by.expect_alive();
        (sink.accepted().len() == 3).then_some(())
    });
    // Confirming takes a moment more than watching again.
    println!("the other node had told of a new outage {:?} after the first had died", died.elapsed());
    assert_eq!(went_down(&first), 3, "told more than once or not at all");
    up.store(true, Ordering::Relaxed);
    until("the recoveries", SOON, || (sink.accepted().len() == 6).then_some(()));
}
