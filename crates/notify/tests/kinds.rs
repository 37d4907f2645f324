//! Rules that hold for every channel, also for the one not yet written.

use serde_json::Value;
use watchbell_core::decide::NoticeKind;
use watchbell_core::{Message, catalog};
use watchbell_notify::{Call, Channel};

use crate::message;

fn example(entry: &watchbell_core::kind::Entry) -> Channel {
    serde_json::from_value((entry.example)()).expect("an example is a channel")
}

#[test]
fn channels_obey_the_rules_of_all_kinds() {
    assert_eq!(catalog::complaints_about(Channel::ALL), [""; 0]);
    for entry in Channel::ALL {
        for (field, about) in catalog::schema(entry)["properties"].as_object().unwrap() {
            let group = about["x-group"].as_str().unwrap_or("none");
            let known = ["Essentials", "Message", "Security", "Network"].contains(&group);
            assert!(known, "{}.{field} is in group {group}", entry.name);
        }
    }
}

#[test]
fn examples_work_and_survive_being_stored() {
    for entry in Channel::ALL {
        let channel = example(entry);
        assert_eq!(channel.validate(), [], "{}", entry.name);
        assert_eq!(channel.kind(), entry.name);
        let stored = serde_json::to_string(&channel).unwrap();
        assert_eq!(serde_json::from_str::<Channel>(&stored).unwrap(), channel);
        let mut unknown: Value = serde_json::from_str(&stored).unwrap();
        unknown[entry.name]["no_such_field"] = 1.into();
        assert!(serde_json::from_value::<Channel>(unknown).unwrap_err().to_string().contains("no_such_field"));
        assert!(!channel.target().is_empty());
    }
}

#[test]
fn every_channel_tells_every_event_and_the_same_each_time() {
    for channel in Channel::ALL.iter().map(example) {
        for event in NoticeKind::ALL {
            let message = Message { event, ..message() };
            let call = channel.compose(&message);
            assert_eq!(call, channel.compose(&message));
            let told = match &call {
                Call::Http(request) => request.body.clone(),
                Call::Mail(mail) => format!("{}\n{}", mail.subject, mail.text),
            };
            assert!(told.contains("Shop front") && told.contains("502 Bad Gateway"), "{}: {told}", channel.kind());
        }
    }
}

#[test]
fn a_test_says_so_on_every_channel() {
    for channel in Channel::ALL.iter().map(example) {
        let told = format!("{:?}", channel.compose(&Message { test: true, ..message() }));
        assert!(told.contains("TEST: Shop front is down"), "{}: {told}", channel.kind());
    }
}

#[test]
fn what_is_composed_is_bounded_whatever_a_monitor_is_called() {
    let long = "\r\n<b>*_`\"\\&👩‍🚀\u{202e}{{key}}".repeat(2000);
    for channel in Channel::ALL.iter().map(example) {
        let mut message = message();
        message.monitor.name = long.clone();
        message.monitor.group = Some(long.clone());
        message.monitor.tags = vec![long.clone(); 100];
        message.monitor.url = Some(long.clone());
        message.reason = long.clone();
        message.because = long.clone();
        message.link = Some(format!("https://w.example/{long}"));
        message.seen = vec![(long.clone(), long.clone()); 100];
        let size = match channel.compose(&message) {
            Call::Http(request) => request.body.len(),
            Call::Mail(mail) => mail.render().unwrap().formatted().len(),
        };
        assert!(size < 128 * 1024, "{} composed {size} bytes", channel.kind());
    }
}
