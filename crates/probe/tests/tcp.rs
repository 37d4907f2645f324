//! The `tcp` probe against the zoo.

use std::sync::atomic::Ordering;

use watchbell_core::Outcome;

use crate::targets::{
    ask, black_hole, closed_port, dripping, echo, endless, fail, greeting, net, resetting, row, silent,
};

#[tokio::test]
async fn an_open_port_is_good() {
    let address = silent().await;
    let finding = ask(&net(), &format!(r#"{{"tcp": {{"address": "{address}"}}}}"#), 2000).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    assert_eq!(row(&finding, "Address"), address.to_string());
    assert!(finding.phases.connect_us.is_some() && finding.phases.wait_us.is_none());
}

#[tokio::test]
async fn a_closed_port_is_told_in_a_phrase() {
    let address = closed_port().await;
    let finding = ask(&net(), &format!(r#"{{"tcp": {{"address": "{address}"}}}}"#), 2000).await;
    assert_eq!(fail(&finding).text, format!("Connection refused by {address}"));
    assert_eq!(row(&finding, "Address"), address.to_string());
    assert_eq!(finding.evidence.errors[0], format!("Connection refused by {address}"));
}

#[tokio::test]
async fn what_was_sent_comes_back_and_is_recognised() {
    let address = echo().await;
    let probe = format!(
        r#"{{"tcp": {{"address": "{address}", "send": "PING\\r\\n", "expect": "PING\\r\\n", "expect_regex": "^P.NG"}}}}"#
    );
    let finding = ask(&net(), &probe, 2000).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    assert_eq!(finding.evidence.body.as_deref(), Some("PING\n"));
    assert!(finding.phases.wait_us.is_some() && finding.phases.transfer_us.is_some());
}

#[tokio::test]
async fn a_wrong_answer_is_told_with_what_was_expected() {
    for (and_stays, start, end) in [
        (false, "The answer ", "does not contain “220 ”"),
        (true, "Timed out after ", "ms: the answer so far does not contain “220 ”"),
    ] {
        let address = greeting(b"SSH-2.0-OpenSSH_9.9\r\n", and_stays).await;
        let finding = ask(&net(), &format!(r#"{{"tcp": {{"address": "{address}", "expect": "220 "}}}}"#), 300).await;
        let text = &fail(&finding).text;
        assert!(text.starts_with(start) && text.ends_with(end), "{text}");
        assert_eq!(finding.evidence.body.as_deref(), Some("SSH-2.0-OpenSSH_9.9\n"));
        assert_eq!(row(&finding, "Received"), "21 bytes");
    }
    let address = greeting(b"", false).await;
    let finding = ask(&net(), &format!(r#"{{"tcp": {{"address": "{address}", "expect_regex": "^SSH-"}}}}"#), 300).await;
    assert_eq!(fail(&finding).text, format!("{address} closed the connection without an answer"));
}

#[tokio::test]
async fn nothing_that_a_target_does_outlasts_the_deadline() {
    let hole = black_hole();
    let targets = [
        (hole.address, "timeout"),
        (silent().await, "timeout"),
        (dripping().await, "timeout"),
        (resetting().await, "reset"),
        (endless().await.0, "body"),
    ];
    for (address, code) in targets {
        let probe = format!(r#"{{"tcp": {{"address": "{address}", "send": "hello", "expect": "never"}}}}"#);
        let finding = ask(&net(), &probe, 300).await;
        assert_eq!(fail(&finding).code, code, "{}", fail(&finding).text);
    }
}

#[tokio::test]
async fn an_endless_answer_is_read_no_further_than_agreed() {
    let (address, sent) = endless().await;
    let probe = format!(r#"{{"tcp": {{"address": "{address}", "expect": "never", "max_bytes": 5000}}}}"#);
    let finding = ask(&net(), &probe, 2000).await;
    assert_eq!(fail(&finding).text, "The answer does not contain “never” in its first 5000 bytes");
    // The rest is what fits into the buffers of two sockets.
    assert!(sent.load(Ordering::Relaxed) < 16 * 1024 * 1024);
}
