//! A secret never comes back: not in what is printed, not in what is told, not in what is kept, whatever servers do.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use watchbell_core::Secret;
use watchbell_core::kind::Kind;
use watchbell_net::{Net, NetSettings};
use watchbell_notify::{Channel, Email, Security, Sender, Slack, Telegram, Webhook};

use crate::sinks::{self, Mailer, Reply};
use crate::{PATIENCE, message};

const CANARY: &str = "c4naryS3cretValue";

fn check(text: &str) {
    assert!(!text.contains(CANARY), "a secret escaped: {text}");
    for encoded in [CANARY.to_owned(), format!("\0u\0{CANARY}")] {
        assert!(!text.contains(&BASE64.encode(encoded.as_bytes())), "an encoded secret escaped: {text}");
    }
}

fn http_channels(base: &str) -> Vec<Channel> {
    let headers = BTreeMap::from([("Authorization".to_owned(), Secret::new(format!("Bearer {CANARY}")))]);
    vec![
        Channel::Webhook(Webhook {
            url: format!("{base}/"),
            headers,
            secret: Some(Secret::new(CANARY)),
            ..Webhook::example()
        }),
        Channel::Telegram(Telegram { token: Secret::new(format!("123:{CANARY}")), ..Telegram::example() }),
        Channel::Slack(Slack {
            webhook_url: Some(Secret::new(format!("{base}/services/{CANARY}"))),
            ..Slack::example()
        }),
        Channel::Slack(Slack {
            webhook_url: None,
            token: Some(Secret::new(CANARY)),
            channel: Some("#ops".into()),
            api_url: Some(base.to_owned()),
            ..Slack::example()
        }),
    ]
}

#[tokio::test]
async fn servers_that_repeat_what_they_heard_reveal_nothing() {
    let location = format!("Location: https://evil.example/{CANARY}\r\n");
    for reply in [
        Reply::Echo(200),
        Reply::Echo(400),
        Reply::Echo(503),
        Reply::status(302, &location, ""),
        Reply::status(
            200,
            "",
            &format!(r#"{{"ok":false,"error":"{CANARY}","description":"{CANARY}","error_code":400}}"#),
        ),
        Reply::status(200, "", &format!(r#"{{"ok":true,"ts":"{CANARY}"}}"#)),
        Reply::Close,
        Reply::Hang,
    ] {
        let sink = sinks::http(reply).await;
        let base = sink.url("");
        let net = Net::new(NetSettings::default()).unwrap();
        let sender = Sender::new(net, Some(base.clone())).patient_for(PATIENCE);
        for channel in http_channels(&base) {
            check(&format!("{:?}", sender.send(&channel, &message()).await));
            check(&format!("{channel:?} {:?} {}", channel.compose(&message()), channel.target()));
        }
        assert_eq!(sink.heard().len(), 4, "each was really called");
        assert!(sink.heard().iter().skip(1).all(|heard| heard.contains(CANARY)), "the secrets were really sent");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_reveals_nothing() {
    let nobody = format!("http://127.0.0.1:{}", sinks::nobody().await);
    let net = Net::new(NetSettings::default()).unwrap();
    for base in [nobody, "nonsense".into(), "http://".into(), "http://169.254.169.254".into()] {
        let sender = Sender::new(net.clone(), Some(base.clone())).patient_for(PATIENCE);
        for channel in http_channels(&base) {
            let refusal = sender.send(&channel, &message()).await.unwrap_err();
            check(&format!("{refusal:?}"));
        }
    }
}

#[tokio::test]
async fn a_secret_that_would_be_cut_in_half_is_masked_first() {
    for padding in 200..300 {
        let reply: &'static str = format!("535 {}{CANARY}", "x".repeat(padding)).leak();
        let sink =
            sinks::smtp(Mailer { replies: vec![("MAIL", reply)], offers: vec!["AUTH PLAIN"], ..Mailer::default() })
                .await;
        let channel = Channel::Email(Email {
            host: "127.0.0.1".into(),
            port: Some(sink.port),
            security: Security::None,
            user: Some("u".into()),
            password: Some(Secret::new(CANARY)),
            ..Email::example()
        });
        let net = Net::new(NetSettings::default()).unwrap();
        let refusal = Sender::new(net, None).patient_for(PATIENCE).send(&channel, &message()).await.unwrap_err();
        assert!(!refusal.why().contains(&CANARY[..4]), "{refusal:?}");
        assert!(refusal.why().chars().count() <= 300);
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_reveals_nothing() {
    let sink = sinks::http(Reply::Echo(407)).await;
    for proxy in
        [format!("http://u:{CANARY}@127.0.0.1:{}", sink.port), format!("gopher://u:{CANARY}@x"), format!("{CANARY} x")]
    {
        let channel = Channel::Telegram(Telegram { proxy: Some(Secret::new(proxy)), ..Telegram::example() });
        let net = Net::new(NetSettings::default()).unwrap();
        let refusal = Sender::new(net, None).patient_for(PATIENCE).send(&channel, &message()).await.unwrap_err();
        check(&format!("{refusal:?} {channel:?} {:?} {:?}", channel.compose(&message()), channel.validate()));
    }
    let [heard] = &sink.heard()[..] else { panic!("the proxy is asked once") };
    assert!(heard.starts_with("CONNECT api.telegram.org:443 HTTP/1.1\r\n"), "{heard}");
}

#[tokio::test]
async fn a_mail_server_that_repeats_the_login_reveals_nothing() {
    for (offers, command) in [("AUTH PLAIN", "AUTH"), ("AUTH LOGIN", "AUTH"), ("AUTH PLAIN", "MAIL")] {
        let mailer = Mailer {
            offers: vec![offers],
            replies: vec![(command, "535 5.7.8 wrong: {line} c4naryS3cretValue YzRuYXJ5UzNjcmV0VmFsdWU=")],
            ..Mailer::default()
        };
        let sink = sinks::smtp(mailer).await;
        let channel = Channel::Email(Email {
            host: "127.0.0.1".into(),
            port: Some(sink.port),
            security: Security::None,
            user: Some("u".into()),
            password: Some(Secret::new(CANARY)),
            ..Email::example()
        });
        let net = Net::new(NetSettings::default()).unwrap();
        let refusal = Sender::new(net, None).patient_for(PATIENCE).send(&channel, &message()).await.unwrap_err();
        assert!(refusal.why().contains("535 5.7.8 wrong"), "{refusal:?}");
        check(&format!("{refusal:?} {channel:?} {:?}", channel.compose(&message())));
    }
}
