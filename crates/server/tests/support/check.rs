//! The helpers themselves, tried once: a test that leans on a broken helper proves nothing.

use std::time::Duration;

use serde_json::json;

use super::browser::{Browser, Scheme};
use super::clock::until;
use super::http::{Manner, Server, get, request};
use super::mail::MailServer;
use super::nginx::Nginx;
use super::orthanc::Orthanc;
use super::sink::Sink;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn nginx_stops_refuses_and_comes_back() {
    let mut nginx = Nginx::start();
    let url: url::Url = nginx.url().parse().expect("a URL");
    let address = url.socket_addrs(|| None).expect("an address")[0];
    assert_eq!(get(address, url.path()).expect("an answer").text(), "ok\n");
    nginx.stop();
    assert!(get(address, url.path()).is_err());
    nginx.start_again();
    assert_eq!(get(address, url.path()).expect("an answer").status, 200);
}

#[test]
fn orthanc_stops_and_comes_back() {
    let mut orthanc = Orthanc::start();
    let url: url::Url = orthanc.url().parse().expect("a URL");
    let address = url.socket_addrs(|| None).expect("an address")[0];
    assert_eq!(get(address, "/system").expect("an answer").json()["DicomAet"], "WATCHED");
    orthanc.stop();
    assert!(get(address, "/system").is_err());
    orthanc.start_again();
    assert_eq!(get(address, "/system").expect("an answer").json()["DicomPort"], orthanc.dicom().port());
}

#[test]
fn a_server_misbehaves_as_it_is_told() {
    let server = Server::start(|request| match request.path.as_str() {
        "/status" => Manner::status(503),
        "/slow" => Manner::After(Duration::from_millis(100), Box::new(Manner::status(200))),
        "/hang" => Manner::Hang,
        "/reset" => Manner::Reset,
        "/short" => Manner::CutShort,
        _ => Manner::Close,
    });
    let ask = |path| request(server.address(), "GET", path, &[], b"", Duration::from_millis(500));
    assert_eq!(ask("/status").expect("an answer").status, 503);
    assert_eq!(ask("/slow").expect("an answer").status, 200);
    for path in ["/hang", "/reset", "/short", "/close"] {
        assert!(ask(path).is_err(), "{path} was answered");
    }
}

#[test]
fn sinks_speak_their_providers_language_and_keep_a_ledger() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let post = |url: &str, headers: &[(&str, &str)], body: &serde_json::Value| {
        let url: url::Url = url.parse().expect("a URL");
        let address = url.socket_addrs(|| None).expect("an address")[0];
        request(address, "POST", url.path(), headers, body.to_string().as_bytes(), SOON)
    };

    let webhook = Sink::webhook(folder.path());
    let body = json!({"event": "down", "monitor": {"slug": "shop"}, "key": "c/1/1/ops/down"});
    assert_eq!(post(&webhook.url("/hook"), &[], &body).expect("an answer").status, 200);
    webhook.behave(|_| Manner::Reset);
    post(&webhook.url("/hook"), &[("Idempotency-Key", "other")], &body).expect_err("a reset");
    let told = webhook.told();
    assert_eq!(told[0].key.as_deref(), Some("c/1/1/ops/down"));
    assert_eq!(told[0].monitor_and_event(), ("shop", "down"));
    assert_eq!((told[1].key.as_deref(), told[1].accepted), (Some("other"), false));
    let written = std::fs::read_to_string(folder.path().join("webhook.ledger")).expect("a ledger");
    assert_eq!(written.lines().count(), 2);

    let telegram = Sink::telegram(folder.path());
    let message = json!({"chat_id": "-1", "text": "Shop is down"});
    let answer = post(&telegram.url("/bot123:abc/sendMessage"), &[], &message).expect("an answer");
    assert_eq!(answer.json()["ok"], true);
    telegram.behave(|_| Manner::status(429));
    let answer = post(&telegram.url("/bot123:abc/sendMessage"), &[], &message).expect("an answer");
    assert_eq!(answer.json()["parameters"]["retry_after"], 1);

    let slack = Sink::slack(folder.path());
    let answer = post(&slack.url("/services/T0/B0/x"), &[], &json!({"text": "Shop is down"})).expect("an answer");
    assert_eq!(answer.text(), "ok");
    let answer = post(&slack.url("/api/chat.postMessage"), &[], &json!({"text": "Shop is down"})).expect("an answer");
    assert_eq!(answer.json()["error"], "not_authed");
}

#[test]
fn the_mail_server_insists_on_starttls_or_knows_none() {
    use std::io::{BufRead, BufReader, Write};
    let talk = |server: &MailServer, lines: &[&str]| {
        #[expect(clippy::disallowed_methods, reason = "a test asks its own helper")]
        let stream = std::net::TcpStream::connect(server.address()).expect("a connection");
        stream.set_read_timeout(Some(SOON)).expect("a time limit");
        let mut reader = BufReader::new(&stream);
        let mut last = Vec::new();
        for line in std::iter::once(&"").chain(lines) {
            if !line.is_empty() {
                (&stream).write_all(format!("{line}\r\n").as_bytes()).expect("a line sent");
            }
            last.clear();
            loop {
                let mut answer = String::new();
                reader.read_line(&mut answer).expect("an answer");
                let more = answer.as_bytes().get(3) == Some(&b'-');
                last.push(answer.trim_end().to_owned());
                if !more {
                    break;
                }
            }
        }
        last
    };
    let strict = MailServer::with_starttls();
    assert!(talk(&strict, &["EHLO test"]).iter().any(|line| line.ends_with("STARTTLS")));
    assert!(talk(&strict, &["EHLO test", "MAIL FROM:<a@example.org>"])[0].starts_with("530"));

    let mut plain = MailServer::without_tls();
    assert!(!talk(&plain, &["EHLO test"]).iter().any(|line| line.ends_with("STARTTLS")));
    let letter = "Subject: Shop is\r\n down\r\n\r\nSince 10:00.\r\n.";
    talk(&plain, &["EHLO test", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA", letter]);
    let mail = plain.wait_for("the letter", SOON, |_| true);
    assert_eq!(mail.header("subject").as_deref(), Some("Shop is down"));
}

#[test]
fn the_browser_reads_types_clicks_and_reports_errors() {
    const PAGE: &str =
        "<!doctype html><title>Page</title><meta name=viewport content=\"width=device-width\"><link rel=icon href=data:,><p id=says>nothing</p><input id=name>
        <button onclick=\"says.textContent = 'Hello ' + document.getElementById('name').value\">Say</button>";
    let server = Server::start(|request| {
        let (status, body) = match request.path.as_str() {
            "/" => (200, PAGE.to_owned()),
            "/broken" => (200, "<!doctype html><link rel=icon href=data:,><script>nowhere()</script>".to_owned()),
            _ => (404, String::new()),
        };
        Manner::Answer { status, headers: vec![("Content-Type", "text/html".to_owned())], body }
    });
    let browser = Browser::start();
    browser.open(&server.url("/"));
    browser.fill("#name", "Ada");
    browser.click("button");
    browser.wait_for_text("Hello Ada", SOON);
    assert!(browser.url().ends_with('/'));
    browser.expect_no_errors();

    let dark = "return matchMedia('(prefers-color-scheme: dark)').matches";
    browser.prefer(Scheme::Dark);
    assert_eq!(browser.script(dark), true);
    browser.prefer(Scheme::Light);
    assert_eq!(browser.script(dark), false);
    browser.be_a_phone();
    assert_eq!(browser.script("return innerWidth"), 390);
    browser.be_a_desktop();
    until("a desktop again", SOON, || (browser.script("return innerWidth").as_u64()? > 1000).then_some(()));
    assert!(browser.picture("helper").starts_with(b"\x89PNG"));

    browser.open(&server.url("/broken"));
    let complaint = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| browser.expect_no_errors()));
    assert!(complaint.is_err(), "an error in a script went unseen");
}
