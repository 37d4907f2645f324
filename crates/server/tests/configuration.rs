//! The configuration file: as it is promised, and as it changes under a running server.

use std::time::Duration;

use crate::support::clock::until;
use crate::support::database::Database;
use crate::support::http::{Manner, Server};
use crate::support::watchbell::{Home, Watchbell};

/// The file that the product's description promises to read as it stands.
const FIRST: &str = include_str!("config/first.yaml");
const SOON: Duration = Duration::from_secs(10);

/// The slugs that are watched, as the metrics name them.
fn watched(watchbell: &Watchbell<'_>) -> Vec<String> {
    let page = watchbell.get("/metrics").expect("an answer").text();
    let lines = page.lines().filter_map(|line| line.strip_prefix("watchbell_monitor_paused{monitor=\""));
    lines.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn the_promised_file_works_as_it_stands() {
    let home = Home::new(Database::Sqlite, FIRST);
    let path = home.configuration().display().to_string();
    let check = home.run(&["config", "check", "--config", &path]);
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));

    let watchbell = home.start();
    assert_eq!(watched(&watchbell), ["edge-router", "nightly-backup", "orthanc-port", "shop"]);
    for path in [
        "/ping/k3v9qd7w2m5x8c1z4b6n0j/nightly-backup",
        "/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278",
        "/api/push/Zr8Yw1bC3dE5fG7hJ9kL2mN4pQ6sT0uV",
        "/api/push/Zr8Yw1bC3dE5fG7hJ9kL2mN4pQ6sT0uV?status=up&msg=OK&ping=12",
    ] {
        let answer = watchbell.get(path).expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let may_be_cached = answer.headers.get("cache-control").is_none_or(|value| !value.contains("no-store"));
        assert!(!may_be_cached || !path.starts_with("/ping"), "{path} may be answered by a cache");
    }
    for path in ["/ping/another-key/nightly-backup", "/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea279", "/api/push/nobody"] {
        assert_eq!(watchbell.get(path).expect("an answer").status, 404, "{path}");
    }
}

#[test]
fn variables_take_the_place_of_their_defaults() {
    let home = Home::new(Database::Sqlite, FIRST).set("PING_KEY", "another-key-that-is-long-enough");
    let watchbell = home.start();
    let status = |path: &str| watchbell.get(path).expect("an answer").status;
    assert_eq!(status("/ping/another-key-that-is-long-enough/nightly-backup"), 200);
    assert_eq!(status("/ping/k3v9qd7w2m5x8c1z4b6n0j/nightly-backup"), 404);
}

#[test]
fn a_changed_file_is_applied_without_a_restart_and_a_bad_one_is_not() {
    let server = Server::start(|_| Manner::status(200));
    let monitor = |slug: &str| {
        format!("  {slug}: {{ probe: {{ http: {{ url: \"{}\" }} }}, interval: 250ms }}\n", server.url("/"))
    };
    let one = format!("monitors:\n{}", monitor("one"));
    let home = Home::new(Database::Sqlite, &one);
    let mut watchbell = home.start();
    until("the first monitor to be up", SOON, || (watchbell.metric("watchbell_monitor_up")? == 1.0).then_some(()));
    let since = watchbell.metric("watchbell_monitor_state_since_seconds");

    home.configure(&format!("{one}{}", monitor("two")));
    until("the second monitor", SOON, || (watched(&watchbell) == ["one", "two"]).then_some(()));
    assert_eq!(watchbell.metric("watchbell_monitor_state_since_seconds"), since, "the first one lost its state");

    home.configure(&format!("{one}  two: {{ prob: 1 }}\n"));
    until("the problem", SOON, || (watchbell.metric("watchbell_problems")? == 1.0).then_some(()));
    assert_eq!(watched(&watchbell), ["one", "two"], "a bad file was applied");

    home.configure(&one);
    until("the second monitor to go", SOON, || (watched(&watchbell) == ["one"]).then_some(()));
    assert_eq!(watchbell.metric("watchbell_problems"), Some(0.0));
    watchbell.expect_alive();
}

#[test]
fn state_survives_a_restart() {
    let server = Server::start(|_| Manner::status(200));
    let configuration =
        format!("monitors:\n  one: {{ probe: {{ http: {{ url: \"{}\" }} }}, interval: 250ms }}\n", server.url("/"));
    let home = Home::new(Database::Sqlite, &configuration);
    let watchbell = home.start();
    until("the monitor to be up", SOON, || (watchbell.metric("watchbell_monitor_up")? == 1.0).then_some(()));
    let since = watchbell.metric("watchbell_monitor_state_since_seconds");
    assert_eq!(watchbell.stop().code(), Some(0));
    let watchbell = home.start();
    assert_eq!(watchbell.metric("watchbell_monitor_state_since_seconds"), since);
}
