//! Deliveries by mail.

use std::time::Duration;

use watchbell_core::Secret;
use watchbell_core::kind::Kind;
use watchbell_net::stopwatch::Stopwatch;
use watchbell_notify::{Accepted, Channel, Email, Refusal, Security, Tls};

use crate::sinks::{self, Mailer, Sink};
use crate::{message, sender};

fn email(sink: &Sink) -> Email {
    Email { host: "127.0.0.1".into(), port: Some(sink.port), security: Security::None, ..Email::example() }
}

async fn send(mailer: Mailer, change: impl FnOnce(&mut Email)) -> (Result<Accepted, Refusal>, Vec<String>) {
    let sink = sinks::smtp(mailer).await;
    let mut email = email(&sink);
    change(&mut email);
    let outcome = sender().send(&Channel::Email(email), &message()).await;
    (outcome, sink.heard())
}

fn login(email: &mut Email) {
    email.user = Some("watchbell".into());
    email.password = Some(Secret::new("s3cret"));
}

#[tokio::test]
async fn a_mail_is_handed_over_as_the_protocol_says() {
    let (outcome, heard) = send(Mailer::default(), |email| email.to.push("Ops <night@example.org>".into())).await;
    let accepted = outcome.unwrap();
    assert_eq!((accepted.status, accepted.answer.as_str()), (None, "250 2.0.0 queued as 4F2"));
    assert_eq!(accepted.provider_ref.as_deref(), Some("<7da42f0697d2ba305fbb8fe76e363706@example.org>"));
    assert!(heard[0].starts_with("EHLO "), "{heard:?}");
    assert_eq!(
        heard[1..5],
        ["MAIL FROM:<watchbell@example.org>", "RCPT TO:<ops@example.org>", "RCPT TO:<night@example.org>", "DATA"]
    );
    for line in [
        "Subject: Shop front is down",
        "To: ops@example.org, Ops <night@example.org>",
        "Auto-Submitted: auto-generated",
        "Why: 502 Bad Gateway",
        ".",
        "QUIT",
    ] {
        assert!(heard.iter().any(|heard| heard == line), "{line} is missing in {heard:?}");
    }
}

#[tokio::test]
async fn four_hundreds_pass_and_five_hundreds_stay() {
    for (command, step) in [
        ("EHLO", "the connection"),
        ("AUTH", "the login of watchbell"),
        ("MAIL", "the sender"),
        ("RCPT", "the recipient ops@example.org"),
        ("DATA", "the beginning of the mail"),
        (".", "the mail"),
    ] {
        for (reply, is_final) in [("451 4.3.0 come back", false), ("550 5.7.1 go away", true)] {
            let mailer =
                Mailer { replies: vec![(command, reply)], offers: vec!["AUTH PLAIN LOGIN"], ..Mailer::default() };
            let refusal = send(mailer, login).await.0.unwrap_err();
            assert_eq!(refusal.why(), format!("127.0.0.1 refused {step}: {reply}"), "{command}");
            assert_eq!(matches!(refusal, Refusal::Never { .. }), is_final, "{refusal:?}");
        }
    }
    let refusal = send(Mailer { greeting: "421 too busy", ..Mailer::default() }, |_| {}).await.0.unwrap_err();
    assert_eq!(refusal, Refusal::Later { after: None, why: "127.0.0.1 refused the connection: 421 too busy".into() });
}

#[tokio::test]
async fn a_server_that_hangs_breaks_off_or_talks_nonsense_is_left_in_time() {
    let mut servers = vec![Mailer { greeting: "HANG", ..Mailer::default() }];
    for reply in ["HANG", "CLOSE", "ENDLESS", "what?", "250-\u{fffd}\r\n\0", "99999 x"] {
        servers.push(Mailer { greeting: reply, ..Mailer::default() });
        for command in ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."] {
            servers.push(Mailer {
                replies: vec![(command, reply)],
                offers: vec!["AUTH PLAIN LOGIN"],
                ..Mailer::default()
            });
        }
    }
    let tries = servers.into_iter().map(|mailer| {
        tokio::spawn(async move {
            let script = format!("{} {:?}", mailer.greeting, mailer.replies);
            let watch = Stopwatch::start();
            let outcome = send(mailer, login).await.0;
            assert!(matches!(outcome, Err(Refusal::Later { .. })), "{script}: {outcome:?}");
            // Thirty of them share two cores with the rest of the suite; what hangs would hang for ever.
            assert!(watch.elapsed() < crate::PATIENCE + Duration::from_secs(10), "{script} took {:?}", watch.elapsed());
        })
    });
    for done in tries.collect::<Vec<_>>() {
        done.await.expect("it was left in time");
    }
}

#[tokio::test]
async fn after_the_mail_is_accepted_nothing_can_lose_it() {
    for reply in ["HANG", "CLOSE", "550 no"] {
        let (outcome, _) = send(Mailer { replies: vec![("QUIT", reply)], ..Mailer::default() }, |_| {}).await;
        assert_eq!(outcome.unwrap().answer, "250 2.0.0 queued as 4F2", "{reply}");
    }
}

#[tokio::test]
async fn one_bad_address_does_not_keep_the_others_from_hearing() {
    let mailer = Mailer { replies: vec![("RCPT TO:<gone@", "550 no such user")], ..Mailer::default() };
    let (outcome, heard) = send(mailer.clone(), |email| email.to.insert(0, "gone@example.org".into())).await;
    assert_eq!(
        outcome.unwrap().answer,
        "250 2.0.0 queued as 4F2; but 127.0.0.1 refused the recipient gone@example.org: 550 no such user"
    );
    assert!(heard.contains(&"RCPT TO:<ops@example.org>".into()));
    let (outcome, heard) = send(mailer, |email| email.to = vec!["gone@example.org".into()]).await;
    assert!(matches!(outcome, Err(Refusal::Never { .. })), "{outcome:?}");
    assert!(!heard.contains(&"DATA".into()));
}

#[tokio::test]
async fn starttls_is_never_talked_out_of() {
    let starttls = |email: &mut Email| email.security = Security::Starttls;
    let (outcome, heard) = send(Mailer::default(), |email| {
        starttls(email);
        login(email);
    })
    .await;
    assert!(matches!(&outcome, Err(Refusal::Never { why }) if why.contains("does not offer STARTTLS")), "{outcome:?}");
    assert!(!heard.iter().any(|line| line.starts_with("MAIL") || line.starts_with("AUTH")), "{heard:?}");

    for (reply, words) in [
        ("454 not now", "refused STARTTLS: 454 not now"),
        ("220 go ahead", "STARTTLS"),
        ("220 go ahead\r\n250 injected", "STARTTLS"),
        ("HANG", "did not finish STARTTLS"),
    ] {
        // It says yes, and then speaks no TLS.
        let mailer = Mailer { offers: vec!["STARTTLS"], replies: vec![("STARTTLS", reply)], ..Mailer::default() };
        let (outcome, heard) = send(mailer, starttls).await;
        assert!(matches!(&outcome, Err(Refusal::Later { why, .. }) if why.contains(words)), "{reply}: {outcome:?}");
        assert!(!heard.iter().any(|line| line.starts_with("MAIL")), "{heard:?}");
    }
}

/// What is slipped in before TLS begins must not be read as if it had come through it.
#[tokio::test]
async fn words_slipped_in_before_tls_are_not_believed() {
    let (ca, acceptor) = sinks::certificate();
    let session = |reply| Mailer {
        offers: vec!["STARTTLS"],
        replies: vec![("STARTTLS", reply)],
        tls: Some(acceptor.clone()),
        ..Mailer::default()
    };
    let trusting = |email: &mut Email| {
        (email.security, email.tls.ca) = (Security::Starttls, Some(ca.clone()));
    };
    let (outcome, _) = send(session("220 go ahead"), trusting).await;
    assert_eq!(outcome.unwrap().answer, "250 2.0.0 queued as 4F2");
    let (outcome, heard) = send(session("220 go ahead\r\n250 slipped in"), trusting).await;
    assert!(matches!(&outcome, Err(Refusal::Later { why, .. }) if why.contains("failed at STARTTLS")), "{outcome:?}");
    assert!(!heard.iter().any(|line| line.starts_with("MAIL")), "{heard:?}");
}

#[tokio::test]
async fn mail_goes_over_tls_to_those_who_prove_their_name() {
    let (ca, acceptor) = sinks::certificate();
    for (security, tls_at_once) in [(Security::Starttls, false), (Security::Tls, true)] {
        let mailer = Mailer {
            offers: vec!["STARTTLS", "AUTH LOGIN PLAIN"],
            tls: Some(acceptor.clone()),
            tls_at_once,
            ..Mailer::default()
        };
        for (tls, trusted) in [
            (Tls { verify: true, ca: Some(ca.clone()) }, true),
            (Tls { verify: false, ca: None }, true),
            (Tls::default(), false),
        ] {
            let (outcome, heard) = send(mailer.clone(), |email| {
                login(email);
                email.security = security;
                email.tls = tls.clone();
            })
            .await;
            let spoken = heard.iter().position(|line| line.starts_with("AUTH"));
            if trusted {
                assert_eq!(outcome.unwrap().answer, "250 2.0.0 queued as 4F2", "{security:?} {tls:?}");
                let protected = heard.iter().position(|line| line == "(TLS)");
                assert!(tls_at_once || protected < spoken, "the password went in the clear: {heard:?}");
            } else {
                assert!(
                    matches!(&outcome, Err(Refusal::Later { why, .. }) if why.to_lowercase().contains("certificate")),
                    "{outcome:?}"
                );
                assert_eq!(spoken, None, "{heard:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_login_nobody_offers_is_final() {
    let (outcome, _) = send(Mailer { offers: vec!["AUTH GSSAPI"], ..Mailer::default() }, login).await;
    assert!(matches!(&outcome, Err(Refusal::Never { why }) if why.contains("no way to log in")), "{outcome:?}");
}

#[tokio::test]
async fn a_bad_address_that_was_never_validated_is_not_sent() {
    let (outcome, heard) =
        send(Mailer::default(), |email| email.to = vec!["a@b.c>\r\nRCPT TO:<evil@example.net".into()]).await;
    assert!(matches!(outcome, Err(Refusal::Never { .. })), "{outcome:?}");
    assert_eq!(heard, [""; 0]);
}
