//! What the commands say when something is wrong: an exit code that scripts can use, and a sentence for the person.

use std::net::TcpListener;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::clock::until;
use crate::support::database::Database;
use crate::support::http::{Manner, Server};
use crate::support::watchbell::{Home, Watchbell};

const SOON: Duration = Duration::from_secs(10);

/// It could not be done, or what was looked at is down.
const FAILED: i32 = 1;
/// The command line or the configuration must be changed first.
const USAGE: i32 = 2;

fn home(configuration: &str) -> Home {
    Home::new(Database::Sqlite, configuration)
}

/// The command ended with `code` and said all of `words` on standard error.
#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
}

#[test]
fn malformed_yaml_names_file_line_and_column() {
    let home = home("monitors:\n  shop: { probe: { http: { url: \"http://127.0.0.1/\" }\n");
    expect(&home.run_serve(), USAGE, &["watchbell.yaml:"]);
    let path = home.configuration().display().to_string();
    expect(&home.run(&["config", "check", "--config", &path]), USAGE, &["watchbell.yaml:"]);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let home = home(
        "monitors:\n  shop:\n    probe: { http: { url: \"http://127.0.0.1/\", tiemout: 3s } }\n    intervall: 30s\n",
    );
    expect(&home.run_serve(), USAGE, &["watchbell.yaml:4:5", "intervall", "interval"]);
}

#[test]
fn a_channel_that_does_not_exist_is_named_with_its_place() {
    let home = home("monitors:\n  shop:\n    probe: { tcp: { address: \"127.0.0.1:1\" } }\n    notify: [nobody]\n");
    expect(&home.run_serve(), USAGE, &["watchbell.yaml:4:", "nobody"]);
}

#[test]
fn a_missing_file_is_named() {
    let home = home("");
    std::fs::remove_file(home.configuration()).expect("a file of ours");
    expect(&home.run_serve(), USAGE, &[&home.configuration().display().to_string()]);
}

#[test]
fn a_second_process_does_not_get_the_data_folder() {
    let home = home("monitors: {}\n");
    let running = home.start();
    let data = home.data().display().to_string();
    let second = home.run(&["serve", "--config", "watchbell.yaml", "--data", &data, "--listen", "127.0.0.1:0"]);
    expect(&second, FAILED, &[&data, &running.id().to_string()]);
}

#[test]
fn a_taken_address_is_named() {
    let home = home("monitors: {}\n");
    let _taken = TcpListener::bind(home.address()).expect("a free port");
    expect(&home.run_serve(), FAILED, &[&home.address().to_string(), "--listen"]);
}

#[test]
fn a_data_folder_that_is_a_file_is_named() {
    let home = home("monitors: {}\n");
    std::fs::write(home.data(), "not a folder").expect("a file in a folder of ours");
    expect(&home.run_serve(), FAILED, &[&home.data().display().to_string()]);
}

#[test]
fn a_database_that_does_not_answer_is_a_sentence_without_its_password() {
    let home = home("monitors: {}\n");
    let data = home.data().display().to_string();
    let url = "postgres://watch:hunter2@127.0.0.1:1/watchbell";
    let output = home.run(&[
        "serve",
        "--config",
        "watchbell.yaml",
        "--data",
        &data,
        "--listen",
        "127.0.0.1:0",
        "--database",
        url,
    ]);
    expect(&output, FAILED, &["127.0.0.1"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[test]
fn a_wrong_use_is_told_apart_from_a_failure() {
    let home = home("monitors: {}\n");
    expect(&home.run(&["serve", "--nonsense"]), USAGE, &["--nonsense"]);
    expect(&home.run(&["frobnicate"]), USAGE, &["frobnicate"]);
    expect(&home.run(&["serve", "--listen", "here"]), USAGE, &["here"]);
    let help = home.run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in ["serve", "check", "config", "backup"] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(command), "{command} is not in the help");
    }
}

#[test]
fn checking_a_url_once_prints_where_the_time_went() {
    let server = Server::start(|request| Manner::status(if request.path == "/well" { 200 } else { 503 }));
    let home = home("monitors: {}\n");
    let well = home.run(&["check", &server.url("/well")]);
    let said = String::from_utf8_lossy(&well.stdout);
    assert_eq!(well.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&well.stderr));
    assert!(said.contains("200"), "{said}");
    let ill = home.run(&["check", &server.url("/ill")]);
    let said = String::from_utf8_lossy(&ill.stdout);
    assert_eq!(ill.status.code(), Some(FAILED), "{said}");
    assert!(said.contains("503"), "{said}");
}

#[test]
fn a_backup_made_while_it_runs_starts_as_another_installation() {
    let server = Server::start(|_| Manner::status(200));
    let configuration =
        format!("monitors:\n  one: {{ probe: {{ http: {{ url: \"{}\" }} }}, interval: 250ms }}\n", server.url("/"));
    let home = home(&configuration);
    let watchbell = home.start();
    let up = |watchbell: &Watchbell<'_>| watchbell.metric("watchbell_monitor_up");
    until("the monitor to be up", SOON, || (up(&watchbell)? == 1.0).then_some(()));
    let since = watchbell.metric("watchbell_monitor_state_since_seconds");
    let copy = home.configuration().with_file_name("copy.db");
    let data = home.data().display().to_string();
    let output = home.run(&["backup", "--data", &data, &copy.display().to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let again = home.run(&["backup", "--data", &data, &copy.display().to_string()]);
    expect(&again, FAILED, &["copy.db"]);

    let other = self::home(&configuration);
    std::fs::create_dir(other.data()).expect("a folder in a folder of ours");
    std::fs::copy(&copy, other.data().join("watchbell.db")).expect("a file in a folder of ours");
    std::fs::copy(home.data().join("secret.key"), other.data().join("secret.key")).expect("the key beside it");
    let restored = other.start();
    assert_eq!(restored.metric("watchbell_monitor_state_since_seconds"), since, "the copy knows less");
}

#[test]
fn the_status_of_a_running_server_is_told_by_words_and_exit_code() {
    let up = Arc::new(AtomicBool::new(true));
    let server = Server::start({
        let up = Arc::clone(&up);
        move |_| Manner::status(if up.load(Ordering::Relaxed) { 200 } else { 503 })
    });
    let home = home(&format!(
        "monitors:\n  shop: {{ name: Shop front, probe: {{ http: {{ url: \"{}\" }} }}, interval: 250ms, failure_threshold: 1 }}\n",
        server.url("/")
    ));
    let watchbell = home.start();
    until("the monitor to be up", SOON, || (watchbell.metric("watchbell_monitor_up")? == 1.0).then_some(()));
    assert_eq!(home.run(&["status", "--url", &home.url("/")]).status.code(), Some(0));
    up.store(false, Ordering::Relaxed);
    until("the monitor to be down", SOON, || (watchbell.metric("watchbell_monitor_up")? == 0.0).then_some(()));
    let status = home.run(&["status", "--url", &home.url("/")]);
    assert_eq!(status.status.code(), Some(FAILED));
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(said.contains("shop") && said.contains("down"), "{said}");
    drop(watchbell);
    expect(&home.run(&["status", "--url", &home.url("/")]), FAILED, &[&home.address().to_string()]);
}

#[test]
fn sigterm_is_a_good_end() {
    let home = home("monitors: {}\n");
    let watchbell = home.start();
    assert_eq!(watchbell.stop().code(), Some(0), "{}", home.log());
}
