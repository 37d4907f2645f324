//! A monitor called shop and what may happen to it: short names for the values the tests are made of.

use watchbell_core::decide::{NoticeKind, Sight, Transition};
use watchbell_core::{IncidentRef, Message, MonitorRef, Phases, Reason, Slug, State, Timestamp, Verdict};
use watchbell_store::{
    Change, ChannelRow, Commit, IncidentChange, Lease, MonitorRow, MonitorWrite, NewDelivery, Origin, Store,
    StoredResult,
};

/// A Sunday morning.
pub(crate) const NOON: Timestamp = Timestamp::from_secs(1_772_332_200);

pub(crate) fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

/// So many seconds after [`NOON`].
pub(crate) fn at(secs: i64) -> Timestamp {
    NOON.shifted(secs * 1000)
}

pub(crate) async fn lease(store: &Store) -> Lease {
    store.acquire_lease("node-a").await.unwrap().expect("nobody else holds it")
}

pub(crate) fn monitor(id: i64, name: &str) -> MonitorRow {
    MonitorRow {
        id,
        slug: slug(name),
        origin: Origin::Console,
        spec: r#"{"probe":{"tcp":{"address":"127.0.0.1:1"}}}"#.into(),
        rev: 1,
        paused: false,
        created_at: NOON,
        updated_at: NOON,
    }
}

pub(crate) fn channel(name: &str) -> ChannelRow {
    ChannelRow {
        slug: slug(name),
        origin: Origin::File,
        spec: r#"{"webhook":{"url":"http://127.0.0.1:1/"}}"#.into(),
        rev: 1,
        disabled: None,
        created_at: NOON,
        updated_at: NOON,
    }
}

/// A new monitor with its first state, committed.
pub(crate) async fn create(store: &Store, lease: &Lease, id: i64, name: &str) {
    let mut commit = Commit::new(NOON, lease.clone());
    commit.monitors.push(MonitorWrite::Put(monitor(id, name)));
    commit.changes.push(Change::new(id, slug(name), None, State::new(NOON, 1)));
    store.commit(&commit).await.unwrap();
}

pub(crate) fn state(seq: u64, verdict: Verdict) -> State {
    State { seq, verdict, ..State::new(NOON, 1) }
}

pub(crate) fn transition(seq: u64, when: Timestamp, new: Verdict) -> Transition {
    Transition {
        seq,
        at: when,
        since: when,
        old: if new == Verdict::Down { Verdict::Up } else { Verdict::Down },
        new,
        reason: Reason::new("refused", "connection refused"),
        incident: Some(seq),
    }
}

/// It goes down as transition `seq`, and `channels` are to hear of it.
pub(crate) fn goes_down(id: i64, name: &str, seq: u64, when: Timestamp, channels: &[&str]) -> Change {
    let mut change = Change::new(id, slug(name), Some(seq - 1), state(seq, Verdict::Down));
    change.transition = Some(transition(seq, when, Verdict::Down));
    change.incident = Some(IncidentChange::Opened {
        seq,
        since: when,
        reason: Reason::new("refused", "connection refused"),
        told: channels.iter().copied().map(slug).collect(),
    });
    change.deliveries =
        channels.iter().map(|channel| delivery(id, name, seq, NoticeKind::Down, channel, when)).collect();
    change
}

pub(crate) fn delivery(
    id: i64,
    name: &str,
    seq: u64,
    event: NoticeKind,
    channel: &str,
    when: Timestamp,
) -> NewDelivery {
    let key = format!("cluster/{id}/{seq}/{channel}/{}", event.name());
    NewDelivery::new(slug(channel), message(id, name, seq, event, when, &key), when)
}

pub(crate) fn message(id: i64, name: &str, seq: u64, event: NoticeKind, when: Timestamp, key: &str) -> Message {
    Message {
        event,
        monitor: MonitorRef {
            slug: slug(name),
            name: "Shop front – Köln".into(),
            group: Some("Web".into()),
            tags: vec!["prod".into()],
            kind: "tcp".into(),
            url: None,
        },
        incident: Some(IncidentRef { id: format!("{id}-{seq}"), since: when }),
        reason: "connection refused".into(),
        code: "refused".into(),
        since: when,
        at: when,
        began: None,
        reminder: None,
        seen: vec![("Address".into(), "127.0.0.1:1".into())],
        because: "the monitor names it under notify".into(),
        link: None,
        key: key.into(),
        test: false,
    }
}

pub(crate) fn result(id: i64, when: Timestamp, took_us: u32) -> StoredResult {
    StoredResult {
        monitor: id,
        at: when,
        sight: Sight::Ok,
        took_us,
        phases: Phases {
            dns_us: Some(900),
            connect_us: Some(12_000),
            tls_us: Some(31_000),
            wait_us: Some(took_us.saturating_sub(44_300)),
            transfer_us: Some(400),
        },
    }
}

pub(crate) fn failure(id: i64, when: Timestamp) -> StoredResult {
    StoredResult {
        sight: Sight::Fail(Reason::new("refused", "connection refused")),
        phases: Phases::default(),
        ..result(id, when, 350)
    }
}
