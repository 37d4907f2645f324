//! What happened, and when we could not know.

use watchbell_core::{Evidence, Reason, Timestamp, Verdict};
use watchbell_store::{
    Acknowledgement, Change, Closing, Commit, Gap, GapScope, IncidentChange, IncidentFilter, Lease, NewEvidence, Page,
    Store,
};

use crate::both::on_both;
use crate::examples::*;

/// The monitor goes down, is acknowledged, and comes up again.
async fn whole_incident(store: &Store, lease: &Lease, id: i64, name: &str, seq: u64, from: i64) {
    let ack = IncidentChange::Acknowledged { seq, by: "ada".into(), note: Some("on it".into()) };
    let close = IncidentChange::Closed { seq, reason: Reason::new("recovered", "It answers again") };
    let mut up = Change::new(id, slug(name), Some(seq), state(seq + 1, Verdict::Up));
    up.transition = Some(watchbell_core::decide::Transition {
        incident: Some(seq),
        ..transition(seq + 1, at(from + 60), Verdict::Up)
    });
    up.incident = Some(close);
    let mut acknowledged = Change::new(id, slug(name), Some(seq), state(seq, Verdict::Down));
    acknowledged.incident = Some(ack);
    for (when, change) in
        [(from, goes_down(id, name, seq, at(from), &["ops"])), (from + 30, acknowledged), (from + 60, up)]
    {
        let mut commit = Commit::new(at(when), lease.clone());
        commit.changes.push(change);
        store.commit(&commit).await.unwrap();
    }
}

#[test]
fn an_incident_is_opened_acknowledged_noted_and_closed() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        whole_incident(store, &lease, 1, "shop", 1, 0).await;
        let mut commit = Commit::new(at(90), lease);
        let mut noted = Change::new(1, slug("shop"), Some(2), state(2, Verdict::Up));
        noted.incident = Some(IncidentChange::Noted { seq: 1, note: "a cable".into() });
        commit.changes.push(noted);
        store.commit(&commit).await.unwrap();

        let (incident, transitions) = store.incident(1, 1).await.unwrap().unwrap();
        assert_eq!((incident.since, incident.confirmed_at), (at(0), at(0)));
        assert_eq!(incident.reason, Reason::new("refused", "connection refused"));
        assert_eq!(incident.acknowledged, Some(Acknowledgement { by: "ada".into(), at: at(30) }));
        let closed = Closing { at: at(60), reason: Reason::new("recovered", "It answers again") };
        assert_eq!(incident.closed, Some(closed));
        assert_eq!(incident.note.as_deref(), Some("a cable"));
        assert_eq!(transitions.iter().map(|stored| stored.transition.seq).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(store.incident(1, 2).await.unwrap(), None);
        assert_eq!(store.load(Timestamp::EPOCH).await.unwrap().open_incidents, []);
    });
}

#[test]
fn incidents_are_found_by_monitor_openness_and_time_page_by_page() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        for (id, name) in [(1, "shop"), (2, "mail")] {
            create(store, &lease, id, name).await;
            whole_incident(store, &lease, id, name, 1, 0).await;
            whole_incident(store, &lease, id, name, 3, 1000).await;
        }
        let mut commit = Commit::new(at(2000), lease);
        commit.changes.push(goes_down(1, "shop", 5, at(2000), &[]));
        store.commit(&commit).await.unwrap();

        let list = async |filter: IncidentFilter, page| -> Vec<String> {
            store.incidents(&filter, page).await.unwrap().iter().map(|incident| incident.public_id()).collect()
        };
        let all = IncidentFilter::default;
        assert_eq!(list(all(), Page::first(9)).await, ["1-5", "2-3", "2-1", "1-3", "1-1"]);
        let first = store.incidents(&all(), Page::first(2)).await.unwrap();
        assert_eq!(list(all(), Page::after(first[1].id, 2)).await, ["2-1", "1-3"]);
        assert_eq!(list(IncidentFilter { monitor: Some(1), ..all() }, Page::first(9)).await, ["1-5", "1-3", "1-1"]);
        assert_eq!(list(IncidentFilter { open: Some(true), ..all() }, Page::first(9)).await, ["1-5"]);
        let closed = IncidentFilter { open: Some(false), monitor: Some(2), ..all() };
        assert_eq!(list(closed, Page::first(9)).await, ["2-3", "2-1"]);
        let during = IncidentFilter { from: Some(at(500)), to: Some(at(1500)), ..all() };
        assert_eq!(list(during, Page::first(9)).await, ["2-3", "1-3"]);
    });
}

#[test]
fn transitions_of_a_time_begin_with_the_one_in_force() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        whole_incident(store, &lease, 1, "shop", 1, 0).await;
        whole_incident(store, &lease, 1, "shop", 3, 1000).await;
        let list = async |from, to| -> Vec<u64> {
            store.transitions(1, at(from), at(to)).await.unwrap().iter().map(|one| one.transition.seq).collect()
        };
        assert_eq!(list(500, 1030).await, [2, 3]);
        assert_eq!(list(-5, 5000).await, [1, 2, 3, 4]);
        assert_eq!(list(2000, 3000).await, [4]);
        assert_eq!(list(-50, -40).await, [] as [u64; 0]);
        let loaded = store.load(at(500)).await.unwrap();
        assert_eq!(loaded.transitions.iter().map(|one| one.transition.seq).collect::<Vec<_>>(), [3, 4]);
    });
}

#[test]
fn the_last_fifty_pieces_of_evidence_are_kept() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        create(store, &lease, 2, "mail").await;
        for (id, count) in [(2, 1), (1, 60)] {
            let mut commit = Commit::new(at(0), lease.clone());
            for n in 0..count {
                let mut change = Change::new(id, slug("x"), Some(0), state(0, Verdict::Up));
                let evidence = Evidence { body: Some(n.to_string()), ..Evidence::default() };
                change.evidence = Some(NewEvidence { at: at(n), kind: "failure".into(), evidence });
                commit.changes.push(change);
            }
            store.commit(&commit).await.unwrap();
        }
        let kept = store.evidence(1, 1000).await.unwrap();
        assert_eq!(kept.len(), 50);
        assert_eq!((kept[0].at, kept[49].at), (at(59), at(10)));
        assert_eq!(store.evidence(1, 2).await.unwrap().len(), 2);
        assert_eq!(store.evidence(2, 9).await.unwrap().len(), 1);
    });
}

#[test]
fn a_gap_written_again_moves_its_end() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let gap = |scope, from, to, code| Gap { scope, from: at(from), to: at(to), reason: Reason::new(code, "why") };
        for one in [
            gap(GapScope::Everything, 0, 10, "restart"),
            gap(GapScope::Probes, 20, 25, "blind"),
            gap(GapScope::Probes, 20, 40, "blind"),
            gap(GapScope::Monitor(1), 30, 50, "overload"),
            gap(GapScope::Monitor(2), 30, 50, "overload"),
        ] {
            store.put_gap(&one).await.unwrap();
        }
        let everybody = [gap(GapScope::Everything, 0, 10, "restart"), gap(GapScope::Probes, 20, 40, "blind")];
        assert_eq!(store.gaps(None, at(-9), at(99)).await.unwrap(), everybody);
        let own = store.gaps(Some(1), at(35), at(99)).await.unwrap();
        assert_eq!(own, [everybody[1].clone(), gap(GapScope::Monitor(1), 30, 50, "overload")]);
        assert_eq!(store.gaps(Some(1), at(50), at(99)).await.unwrap(), []);
    });
}
