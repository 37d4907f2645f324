//! Deliveries over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use watchbell_core::address::Egress;
use watchbell_core::kind::Kind;
use watchbell_core::{Message, Secret};
use watchbell_net::stopwatch::Stopwatch;
use watchbell_net::{Net, NetSettings};
use watchbell_notify::deliver::PATIENCE;
use watchbell_notify::{Accepted, Channel, Refusal, Sender, Slack, Telegram, Webhook};

use crate::sinks::{self, Reply};
use crate::{message, sender};

fn webhook(url: String) -> Channel {
    Channel::Webhook(Webhook { url, ..Webhook::example() })
}

async fn answered(reply: Reply) -> Result<Accepted, Refusal> {
    let sink = sinks::http(reply).await;
    sender().send(&webhook(sink.url("/hook")), &message()).await
}

/// A refusal worth another try, and its sentence.
fn later(outcome: Result<Accepted, Refusal>) -> (Option<Duration>, String) {
    match outcome {
        Err(Refusal::Later { after, why }) => (after, why),
        other => panic!("{other:?} is not worth another try"),
    }
}

fn never(outcome: Result<Accepted, Refusal>) -> String {
    match outcome {
        Err(Refusal::Never { why }) => why,
        other => panic!("{other:?} is not final"),
    }
}

#[tokio::test]
async fn a_notice_arrives_with_its_key_and_its_json() {
    let sink = sinks::http(Reply::status(201, "", "thank you")).await;
    let outcome = sender().send(&webhook(sink.url("/hook?team=ops")), &message()).await;
    assert_eq!(outcome, Ok(Accepted { status: Some(201), provider_ref: None, answer: "thank you".into() }));
    let heard = sink.heard();
    let [request] = heard.as_slice() else { panic!("one request, not {heard:?}") };
    assert!(request.starts_with("POST /hook?team=ops HTTP/1.1\r\n"), "{request}");
    for header in [
        format!("Host: 127.0.0.1:{}\r\n", sink.port),
        "Content-Type: application/json\r\n".into(),
        "Idempotency-Key: c1/17/3/ops/down\r\n".into(),
        "User-Agent: Watchbell/".into(),
    ] {
        assert!(request.contains(&header), "{header} is missing in {request}");
    }
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&body["event"], &body["monitor"]["slug"], &body["incident"]["id"]),
        (&"down".into(), &"shop".into(), &"17-3".into())
    );
}

#[tokio::test]
async fn every_try_is_the_same_call() {
    let sink = sinks::http(Reply::status(503, "", "")).await;
    let channel = webhook(sink.url("/"));
    for _ in 0..3 {
        later(sender().send(&channel, &message()).await);
    }
    let heard = sink.heard();
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|request| *request == heard[0]));
}

#[tokio::test]
async fn statuses_and_retry_after_are_honoured() {
    for (status, headers, secs) in [
        (503, "Retry-After: 120\r\n", Some(120)),
        (429, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n", Some(30)),
        (500, "", None),
        (408, "", None),
        (425, "", None),
    ] {
        let (after, why) = later(answered(Reply::status(status, headers, "busy")).await);
        assert_eq!(after, secs.map(Duration::from_secs), "{status}");
        assert!(
            why.starts_with("http://127.0.0.1:")
                && why.contains(&format!("answered {status}"))
                && why.ends_with(": busy"),
            "{why}"
        );
    }
    for status in [400, 401, 403, 404, 410, 422] {
        let why = never(answered(Reply::status(status, "", "no")).await);
        assert!(why.contains(&format!("answered {status}")), "{why}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = sinks::http(Reply::status(200, "", "")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}\r\n", elsewhere.url("/private/path"));
        let why = never(answered(Reply::status(status, &location, "")).await);
        assert!(
            why.contains(&format!("a redirect to http://127.0.0.1:{}. Notices do not follow", elsewhere.port)),
            "{why}"
        );
        assert!(!why.contains("private"), "{why}");
    }
    assert_eq!(elsewhere.heard(), [""; 0]);
}

#[tokio::test]
async fn a_server_that_says_nothing_useful_is_tried_again() {
    for (reply, words) in [
        (Reply::Hang, "Timed out after 600 ms: no answer from http://127.0.0.1"),
        (Reply::Stall("HTTP/1.1 200 OK\r\nContent-"), "Timed out after 600 ms: no answer from"),
        (Reply::Close, "broke before an answer"),
        (Reply::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), "broke before an answer"),
        (Reply::Raw(vec![0; 100]), "broke before an answer"),
        (Reply::Endless("HTTP/1.1 200 OK\r\nX: ", Duration::ZERO), "broke before an answer"),
        (
            Reply::Raw(format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(5000)).into_bytes()),
            "broke before an answer",
        ),
    ] {
        let watch = Stopwatch::start();
        let (after, why) = later(answered(reply).await);
        assert!(why.contains(words), "{why}");
        assert_eq!(after, None);
        assert!(watch.elapsed() < crate::PATIENCE + Duration::from_secs(3), "{why} took {:?}", watch.elapsed());
    }
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_undo_its_status() {
    for reply in [
        Reply::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", Duration::ZERO),
        Reply::Endless("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", Duration::from_millis(20)),
        Reply::Stall("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz not a chunk".to_vec()),
    ] {
        let watch = Stopwatch::start();
        let accepted = answered(reply).await.unwrap();
        assert_eq!(accepted.status, Some(200));
        assert!(accepted.answer.chars().count() <= 300);
        assert!(watch.elapsed() < crate::PATIENCE + Duration::from_secs(3), "{:?}", watch.elapsed());
    }
}

#[tokio::test]
async fn nobody_there_is_tried_again_and_a_forbidden_address_is_not() {
    let nobody = format!("http://127.0.0.1:{}/", sinks::nobody().await);
    let (_, why) = later(sender().send(&webhook(nobody), &message()).await);
    assert!(why.starts_with("Connection refused by 127.0.0.1:"), "{why}");

    let sink = sinks::http(Reply::status(200, "", "")).await;
    let egress = Egress { private_deliveries: false, ..Egress::default() };
    let strict = Sender::new(Net::new(NetSettings { egress, ..NetSettings::default() }).unwrap(), None);
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", sink.port);
        let why = never(strict.send(&webhook(url), &message()).await);
        assert!(why.contains("Watchbell may not connect to"), "{why}");
    }
    let why = never(sender().send(&webhook("http://169.254.169.254/latest/meta-data".into()), &message()).await);
    assert!(why.contains("Watchbell may not connect to 169.254.169.254"), "{why}");
    assert_eq!(sink.heard(), [""; 0]);
}

#[tokio::test]
async fn settings_that_were_never_validated_cannot_smuggle_anything() {
    let sink = sinks::http(Reply::status(200, "", "")).await;
    for (name, value) in [
        ("X-A", "b\r\nX-Evil: 1"),
        ("X-A\r\nX-Evil", "1"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Host", "evil"),
        ("TE", "trailers"),
        ("Metadata-Flavor", "Google"),
    ] {
        let headers = BTreeMap::from([(name.to_owned(), Secret::new(value))]);
        let channel = Channel::Webhook(Webhook { url: sink.url("/"), headers, ..Webhook::example() });
        let why = never(sender().send(&channel, &message()).await);
        assert!(why.contains("cannot be sent"), "{name}: {why}");
    }
    for url in ["file:///etc/passwd", "ftp://127.0.0.1/", "nonsense", "http://user:pw@127.0.0.1/"] {
        never(sender().send(&webhook(url.into()), &message()).await);
    }
    assert_eq!(sink.heard(), [""; 0]);
}

#[tokio::test]
async fn telegram_is_called_where_it_is_and_believed_only_in_its_own_words() {
    let channel = Channel::Telegram(Telegram::example());
    for (reply, expected) in [
        (Reply::status(200, "", r#"{"ok":true,"result":{"message_id":42}}"#), Ok(Some("42".to_owned()))),
        (
            Reply::status(200, "", "<html>welcome to the hotel"),
            Err("Telegram answered 200 OK: <html>welcome to the hotel; that is not how Telegram answers"),
        ),
        (
            Reply::status(403, "", r#"{"ok":false,"error_code":403,"description":"Forbidden"}"#),
            Err(
                "Telegram refused (403): Forbidden. The bot may not write there: start it, or add it to the group again",
            ),
        ),
    ] {
        let sink = sinks::http(reply).await;
        let net = Net::new(NetSettings::default()).unwrap();
        let outcome =
            Sender::new(net, Some(sink.url("/"))).patient_for(crate::PATIENCE).send(&channel, &message()).await;
        match outcome {
            Ok(accepted) => assert_eq!(Ok(accepted.provider_ref), expected),
            Err(refusal) => assert_eq!(Err(refusal.why()), expected.as_ref().map_err(|why| *why)),
        }
        let heard = sink.heard();
        assert!(heard[0].starts_with("POST /bot123:abc/sendMessage HTTP/1.1\r\n"), "{}", heard[0]);
    }
}

#[tokio::test]
async fn slack_is_believed_only_in_its_own_words() {
    for (reply, words) in [
        (Reply::status(200, "", r#"{"ok":true,"ts":"1503435956.000247"}"#), None),
        (
            Reply::status(200, "", r#"{"ok":false,"error":"not_in_channel"}"#),
            Some("127.0.0.1 refused: not_in_channel. Invite the bot"),
        ),
        (Reply::status(429, "Retry-After: 30\r\n", ""), Some("answered 429 Too Many Requests")),
    ] {
        let sink = sinks::http(reply).await;
        let bot = Slack {
            webhook_url: None,
            token: Some(Secret::new("xoxb-1")),
            channel: Some("#ops".into()),
            api_url: Some(sink.url("/api")),
            ..Slack::example()
        };
        let outcome = sender().send(&Channel::Slack(bot), &message()).await;
        match words {
            None => assert_eq!(outcome.unwrap().provider_ref.as_deref(), Some("1503435956.000247")),
            Some(words) => assert!(outcome.as_ref().unwrap_err().why().contains(words), "{outcome:?}"),
        }
        assert!(sink.heard()[0].starts_with("POST /api/chat.postMessage HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn https_needs_a_certificate_that_is_trusted() {
    let (ca, acceptor) = sinks::certificate();
    let sink = sinks::smtp(sinks::Mailer {
        tls: Some(acceptor),
        tls_at_once: true,
        greeting: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ..Default::default()
    })
    .await;
    let url = format!("https://127.0.0.1:{}/hook", sink.port);
    let hook = |tls| Channel::Webhook(Webhook { url: url.clone(), tls, ..Webhook::example() });
    let tls = |verify, ca: Option<String>| watchbell_notify::Tls { verify, ca };
    let (_, why) = later(sender().send(&hook(tls(true, None)), &message()).await);
    assert!(why.contains("certificate"), "{why}");
    for trusting in [tls(true, Some(ca)), tls(false, None)] {
        assert_eq!(sender().send(&hook(trusting), &message()).await.unwrap().answer, "ok");
    }
}

/// A promise of the product: half of all notices leave within 5 ms. The limit here is wide, as tests run beside each other.
#[tokio::test]
async fn a_notice_leaves_at_once() {
    let sink = sinks::http(Reply::status(200, "", "ok")).await;
    let channel = webhook(sink.url("/"));
    let sender = sender();
    let mut times = Vec::new();
    for n in 0..100 {
        let message = Message { key: format!("c1/17/{n}/ops/down"), ..message() };
        let watch = Stopwatch::start();
        sender.send(&channel, &message).await.unwrap();
        times.push(watch.elapsed());
    }
    times.sort();
    println!("there and back: p50 {:?}, p99 {:?}", times[50], times[98]);
    assert!(times[50] < Duration::from_millis(25), "p50 is {:?}", times[50]);
    assert_eq!(PATIENCE, Duration::from_secs(20));
}
