//! The channels against servers that behave, misbehave and lie, all on loopback; and the rules that hold for every kind.

mod canary;
mod http;
mod kinds;
mod sinks;
mod smtp;

use std::time::Duration;

use watchbell_core::decide::NoticeKind;
use watchbell_core::{IncidentRef, Message, MonitorRef, Timestamp};
use watchbell_net::{Net, NetSettings};
use watchbell_notify::Sender;

/// Long enough for loopback, short enough for a hundred servers that hang.
const PATIENCE: Duration = Duration::from_millis(600);

/// A sender that gives up soon.
fn sender() -> Sender {
    Sender::new(Net::new(NetSettings::default()).expect("a way out"), None).patient_for(PATIENCE)
}

fn message() -> Message {
    let since = Timestamp::from_secs(1_772_332_200);
    Message {
        event: NoticeKind::Down,
        monitor: MonitorRef {
            slug: "shop".parse().expect("a slug"),
            name: "Shop front".into(),
            group: None,
            tags: Vec::new(),
            kind: "http".into(),
            url: Some("https://shop.example.org/".into()),
        },
        incident: Some(IncidentRef { id: "17-3".into(), since }),
        reason: "502 Bad Gateway".into(),
        code: "status".into(),
        since,
        at: since.shifted(70_000),
        began: None,
        reminder: None,
        seen: Vec::new(),
        because: "ops: the monitor names it under notify".into(),
        link: None,
        key: "c1/17/3/ops/down".into(),
        test: false,
    }
}
