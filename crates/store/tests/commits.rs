//! Everything or nothing.

use watchbell_core::decide::NoticeKind;
use watchbell_core::{Evidence, Reason, State, Timestamp, Verdict};
use watchbell_store::{
    Change, ChannelWrite, Commit, CommitError, DeliveryFilter, Gap, GapScope, IncidentFilter, MonitorWrite, NewAudit,
    NewEvidence, Page, Store,
};

use crate::both::on_both;
use crate::examples::*;

/// A commit that touches every table a commit can touch.
async fn everything(store: &Store) -> Commit {
    let lease = lease(store).await;
    create(store, &lease, 1, "shop").await;
    let mut commit = Commit::new(at(60), lease);
    commit.monitors.push(MonitorWrite::Put(monitor(2, "mail")));
    commit.channels.push(ChannelWrite::Put(channel("ops")));
    let mut down = goes_down(1, "shop", 1, at(60), &["ops", "oncall"]);
    let mut evidence = Evidence::default();
    evidence.row("Error", "refused");
    down.evidence = Some(NewEvidence { at: at(60), kind: "failure".into(), evidence });
    commit.changes.push(down);
    commit.changes.push(Change::new(2, slug("mail"), None, State::new(at(60), 1)));
    commit.results = vec![failure(1, at(60)), result(2, at(60), 80_000)];
    commit.gaps.push(Gap {
        scope: GapScope::Probes,
        from: at(0),
        to: at(10),
        reason: Reason::new("restart", "We were not running"),
    });
    commit.audit.push(NewAudit {
        who: "ada".into(),
        action: "monitor.put".into(),
        object: "mail".into(),
        detail: String::new(),
    });
    commit
}

/// How many things a reader finds of all that [`everything`] writes.
async fn found(store: &Store) -> usize {
    let loaded = store.load(Timestamp::EPOCH).await.unwrap();
    assert_eq!(loaded.unreadable, Vec::<String>::new());
    loaded.monitors.len()
        + loaded.states.len()
        + loaded.channels.len()
        + loaded.transitions.len()
        + loaded.open_incidents.len()
        + store.deliveries(&DeliveryFilter::default(), Page::first(10)).await.unwrap().len()
        + store.evidence(1, 10).await.unwrap().len()
        + store.gaps(None, at(-100), at(100)).await.unwrap().len()
        + store.audit(Page::first(10)).await.unwrap().len()
        + store.results(1, at(-100), at(100), 10, true).await.unwrap().len()
        + store.results(2, at(-100), at(100), 10, true).await.unwrap().len()
}

#[test]
fn what_was_decided_together_is_there_together() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let commit = everything(store).await;
        store.commit(&commit).await.unwrap();

        let loaded = store.load(Timestamp::EPOCH).await.unwrap();
        assert_eq!(loaded.monitors, [monitor(1, "shop"), monitor(2, "mail")]);
        assert_eq!(loaded.states[0], (1, state(1, Verdict::Down)));
        assert_eq!(loaded.channels, [channel("ops")]);
        assert_eq!(loaded.transitions[0].transition, transition(1, at(60), Verdict::Down));
        assert_eq!(loaded.transitions[0].epoch, commit.lease.epoch);
        assert_eq!(loaded.open_incidents[0].public_id(), "1-1");
        assert_eq!(loaded.open_incidents[0].told, [slug("ops"), slug("oncall")]);
        assert_eq!(loaded.next_monitor, 3);

        let deliveries = store.deliveries(&DeliveryFilter::default(), Page::first(10)).await.unwrap();
        assert_eq!(deliveries.len(), 2);
        assert_eq!(deliveries[1].message, commit.changes[0].deliveries[0].message);
        assert_eq!(store.results(1, at(0), at(100), 9, true).await.unwrap(), [failure(1, at(60))]);
        assert_eq!(store.evidence(1, 10).await.unwrap(), [commit.changes[0].evidence.clone().unwrap()]);
        assert_eq!(store.gaps(Some(1), at(0), at(100)).await.unwrap(), commit.gaps);
        assert_eq!(store.audit(Page::first(1)).await.unwrap()[0].object, "mail");
        assert_eq!(found(store).await, 14);
    });
}

#[test]
fn a_state_that_somebody_changed_since_rolls_back_everything_and_names_the_monitor() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let mut commit = everything(store).await;
        let before = found(store).await;
        commit.changes[1].expected_seq = Some(7);
        assert_eq!(store.commit(&commit).await, Err(CommitError::Conflict { monitor: 2 }));
        assert_eq!(found(store).await, before);
        assert_eq!(store.states(&[1]).await.unwrap(), [(1, State::new(NOON, 1))]);
    });
}

#[test]
fn a_second_first_state_is_a_conflict() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let mut commit = Commit::new(NOON, lease);
        commit.changes.push(Change::new(1, slug("shop"), None, State::new(NOON, 1)));
        assert_eq!(store.commit(&commit).await, Err(CommitError::Conflict { monitor: 1 }));
    });
}

#[test]
fn a_transition_is_stored_once() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let mut commit = Commit::new(at(1), lease.clone());
        commit.changes.push(goes_down(1, "shop", 1, at(1), &["ops"]));
        store.commit(&commit).await.unwrap();
        // The same number again, from a state that was never stored.
        let mut again = Commit::new(at(2), lease);
        again.changes.push(goes_down(1, "shop", 1, at(2), &["ops"]));
        again.changes[0].expected_seq = Some(1);
        assert_eq!(store.commit(&again).await, Err(CommitError::Conflict { monitor: 1 }));
        assert_eq!(store.transitions(1, at(0), at(9)).await.unwrap().len(), 1);
    });
}

#[test]
fn a_stale_node_writes_nothing() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let commit = everything(store).await;
        let before = found(store).await;
        store.release_lease(&commit.lease).await.unwrap();
        store.acquire_lease("node-b").await.unwrap().unwrap();
        assert_eq!(store.commit(&commit).await, Err(CommitError::Fenced));
        assert_eq!(found(store).await, before);
    });
}

#[test]
fn a_commit_made_again_after_an_unknown_outcome_doubles_nothing() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let commit = everything(store).await;
        assert!(!store.was_committed(&commit).await.unwrap());
        store.commit(&commit).await.unwrap();
        assert!(store.was_committed(&commit).await.unwrap());

        // A reminder raises no number, so only its key tells the second time from the first.
        let mut reminder = Commit::new(at(90), commit.lease.clone());
        let mut change = Change::new(1, slug("shop"), Some(1), state(1, Verdict::Down));
        change.deliveries.push(delivery(1, "shop", 1, NoticeKind::Reminder, "ops", at(90)));
        reminder.changes.push(change);
        reminder.results.push(failure(1, at(90)));
        store.commit(&reminder).await.unwrap();
        let once = found(store).await;
        store.commit(&reminder).await.unwrap();
        assert_eq!(found(store).await, once);
    });
}

#[test]
fn somebody_elses_transition_of_the_same_number_is_not_ours() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let old = lease(store).await;
        create(store, &old, 1, "shop").await;
        let mut lost = Commit::new(at(1), old);
        lost.changes.push(goes_down(1, "shop", 1, at(1), &[]));
        let mut made = Commit { lease: lease(store).await, ..lost.clone() };
        made.changes[0].transition = Some(transition(1, at(1), Verdict::Down));
        store.commit(&made).await.unwrap();
        assert!(!store.was_committed(&lost).await.unwrap());
        assert!(store.was_committed(&made).await.unwrap());
    });
}

#[test]
fn several_changes_of_one_monitor_follow_one_another() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let mut commit = Commit::new(at(9), lease);
        commit.changes.push(goes_down(1, "shop", 1, at(1), &["ops"]));
        let mut up = Change::new(1, slug("shop"), Some(1), state(2, Verdict::Up));
        up.transition = Some(transition(2, at(9), Verdict::Up));
        commit.changes.push(up);
        store.commit(&commit).await.unwrap();
        assert_eq!(store.states(&[1, 99]).await.unwrap(), [(1, state(2, Verdict::Up))]);
        assert_eq!(store.transitions(1, at(0), at(99)).await.unwrap().len(), 2);
    });
}

#[test]
fn a_name_belongs_to_one_monitor_until_that_is_deleted() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;

        let mut taken = Commit::new(at(1), lease.clone());
        taken.monitors.push(MonitorWrite::Put(monitor(2, "shop")));
        assert_eq!(store.commit(&taken).await, Err(CommitError::SlugTaken { slug: slug("shop") }));

        taken.monitors.push(MonitorWrite::Delete { id: 1 });
        // What its deletion tells people goes with it.
        let mut last_words = Change::new(1, slug("shop"), Some(0), state(1, Verdict::Unknown));
        last_words.deliveries.push(delivery(1, "shop", 1, NoticeKind::Closed, "ops", at(1)));
        taken.changes.push(last_words);
        store.commit(&taken).await.unwrap();
        let loaded = store.load(Timestamp::EPOCH).await.unwrap();
        assert_eq!(loaded.monitors, [monitor(2, "shop")]);
        assert_eq!(loaded.states, []);
        assert_eq!(loaded.next_monitor, 3);
        assert_eq!(store.deliveries(&DeliveryFilter::default(), Page::first(9)).await.unwrap().len(), 1);
    });
}

#[test]
fn a_monitor_written_again_keeps_its_birthday() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let mut commit = Commit::new(at(5), lease);
        let changed =
            monitor(1, "shop-front").clone_with(|row| (row.rev, row.created_at, row.updated_at) = (2, at(5), at(5)));
        commit.monitors.push(MonitorWrite::Put(changed.clone()));
        commit.monitors.push(MonitorWrite::SetPaused { id: 1, paused: true });
        store.commit(&commit).await.unwrap();
        let expected = changed.clone_with(|row| (row.created_at, row.paused) = (NOON, true));
        assert_eq!(store.load(Timestamp::EPOCH).await.unwrap().monitors, [expected]);
    });
}

#[test]
fn forty_callers_at_once_are_all_answered_and_only_the_wrong_ones_refused() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        for id in 1..=40 {
            create(store, &lease, id, &format!("shop-{id}")).await;
        }
        let tasks: Vec<_> = (1..=40)
            .map(|id| {
                let store = store.clone();
                let mut commit = Commit::new(at(1), lease.clone());
                let mut change = goes_down(id, &format!("shop-{id}"), 1, at(1), &["ops"]);
                if id % 4 == 0 {
                    change.expected_seq = Some(5);
                }
                commit.changes.push(change);
                tokio::spawn(async move { (id, store.commit(&commit).await) })
            })
            .collect();
        for task in tasks {
            let (id, outcome) = task.await.unwrap();
            let expected = if id % 4 == 0 { Err(CommitError::Conflict { monitor: id }) } else { Ok(()) };
            assert_eq!(outcome, expected);
        }
        assert_eq!(store.incidents(&IncidentFilter::default(), Page::first(100)).await.unwrap().len(), 30);
    });
}

#[test]
fn text_from_outside_never_stops_a_commit() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let mut commit = Commit::new(at(1), lease);
        let mut change = Change::new(1, slug("shop"), Some(0), state(0, Verdict::Up));
        let evidence =
            Evidence { body: Some("a\0b \u{202e}💥 '; DROP TABLE state; --".into()), ..Evidence::default() };
        change.evidence = Some(NewEvidence { at: at(1), kind: "fail\0ure".into(), evidence: evidence.clone() });
        commit.changes.push(change);
        store.commit(&commit).await.unwrap();
        assert_eq!(store.evidence(1, 1).await.unwrap()[0].evidence, evidence);
    });
}

#[test]
fn commits_that_need_the_same_monitors_in_opposite_order_both_succeed() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        for id in 1..=40 {
            create(store, &lease, id, &format!("shop-{id}")).await;
        }
        let commit = |ids: &mut dyn Iterator<Item = i64>| {
            let mut commit = Commit::new(at(1), lease.clone());
            commit.changes.extend(ids.map(|id| Change::new(id, slug("x"), Some(0), state(0, Verdict::Up))));
            commit
        };
        let (up, down) = (commit(&mut (1..=40)), commit(&mut (1..=40).rev()));
        for _ in 0..3 {
            let (up, down) = tokio::join!(store.commit(&up), store.commit(&down));
            assert_eq!((up, down), (Ok(()), Ok(())));
        }
    });
}

/// A copy with something changed.
trait CloneWith: Clone {
    fn clone_with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut copy = self.clone();
        change(&mut copy);
        copy
    }
}

impl<T: Clone> CloneWith for T {}
