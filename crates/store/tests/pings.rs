//! The run log of heartbeats.

use std::time::Duration;

use watchbell_core::{RunId, Timestamp};
use watchbell_store::{Commit, MonitorWrite, NewPing, Page, PingBody, PingKind, StoredPing};

use crate::both::on_both;
use crate::examples::*;

/// The ping that comes `n` minutes after noon.
fn ping(monitor: i64, n: u64) -> NewPing {
    let ping = StoredPing {
        n,
        at: at(n as i64 * 60),
        kind: PingKind::Success,
        run: None,
        took: None,
        exit_status: None,
        last_line: String::new(),
        method: "GET".into(),
        address: "192.0.2.7".into(),
        agent: "curl/8.5".into(),
        size: 0,
    };
    NewPing { monitor, ping, head: Vec::new(), tail: Vec::new() }
}

fn numbers(pings: &[StoredPing]) -> Vec<u64> {
    pings.iter().map(|ping| ping.n).collect()
}

const EVER: (Timestamp, Timestamp) = (Timestamp::EPOCH, Timestamp::NEVER);

#[test]
fn a_ping_is_read_as_it_was_stored() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        let mut said = ping(1, 1);
        said.ping = StoredPing {
            kind: PingKind::Fail,
            run: Some(RunId::new(7)),
            took: Some(Duration::from_millis(90_001)),
            exit_status: Some(255),
            last_line: "rsync error:\0 vanished".into(),
            method: "POST".into(),
            size: 20_000,
            ..said.ping
        };
        // Any bytes.
        (said.head, said.tail) = (vec![0, 255, 10], b"the end \xf0\x9f".to_vec());
        let mut commit = Commit::new(at(0), lease);
        commit.pings = vec![said.clone()];
        store.commit(&commit).await.unwrap();

        let read = store.pings(1, EVER.0, EVER.1, Page::first(9)).await.unwrap();
        let expected = StoredPing { last_line: "rsync error:\u{fffd} vanished".into(), ..said.ping };
        assert_eq!(read, [expected]);
        let body = store.ping_body(1, 1).await.unwrap().unwrap();
        assert_eq!(body, PingBody { size: 20_000, head: said.head, tail: said.tail });
        assert_eq!(body.left_out(), 20_000 - 13);
        assert_eq!(store.ping_body(1, 2).await.unwrap(), None);
        assert_eq!(store.ping_body(2, 1).await.unwrap(), None);
    });
}

#[test]
fn pings_are_read_newest_first_page_by_page_and_by_time() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let mut commit = Commit::new(at(0), lease(store).await);
        commit.pings = (1..=10).flat_map(|n| [ping(1, n), ping(2, n)]).collect();
        store.commit(&commit).await.unwrap();
        let first = store.pings(1, EVER.0, EVER.1, Page::first(4)).await.unwrap();
        assert_eq!(numbers(&first), [10, 9, 8, 7]);
        let second = store.pings(1, EVER.0, EVER.1, Page::after(7, 4)).await.unwrap();
        assert_eq!(numbers(&second), [6, 5, 4, 3]);
        let between = store.pings(1, at(180), at(360), Page::first(99)).await.unwrap();
        assert_eq!(numbers(&between), [5, 4, 3]);
    });
}

#[test]
fn the_same_ping_committed_again_is_stored_once() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let mut commit = Commit::new(at(0), lease(store).await);
        commit.pings = vec![ping(1, 1), ping(1, 2)];
        store.commit(&commit).await.unwrap();
        store.commit(&commit).await.unwrap();
        assert_eq!(numbers(&store.pings(1, EVER.0, EVER.1, Page::first(9)).await.unwrap()), [2, 1]);
    });
}

#[test]
fn a_ping_is_stored_with_the_state_or_not_at_all() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let mut commit = Commit::new(at(60), lease);
        commit.changes.push(goes_down(1, "shop", 7, at(60), &[]));
        commit.pings = vec![ping(1, 1)];
        store.commit(&commit).await.unwrap_err();
        assert_eq!(store.pings(1, EVER.0, EVER.1, Page::first(9)).await.unwrap(), []);
    });
}

#[test]
fn only_the_last_pings_of_a_monitor_are_kept() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        for batch in 0..10 {
            let mut commit = Commit::new(at(0), lease.clone());
            commit.keep_pings = 100;
            commit.pings = (1..=50).map(|n| ping(1, batch * 50 + n)).collect();
            store.commit(&commit).await.unwrap();
        }
        let left = numbers(&store.pings(1, EVER.0, EVER.1, Page::first(500)).await.unwrap());
        assert!((100..164).contains(&left.len()), "{} are left", left.len());
        assert_eq!(left.first(), Some(&500));
    });
}

#[test]
fn old_pings_are_dropped_and_their_numbers_are_not_used_again() {
    on_both(async |fixture| {
        let lease = lease(&fixture.store).await;
        let mut commit = Commit::new(at(0), lease);
        commit.monitors = vec![MonitorWrite::Put(monitor(1, "shop")), MonitorWrite::Put(monitor(2, "quiet"))];
        commit.pings = (1..=10).map(|n| ping(1, n)).collect();
        fixture.store.commit(&commit).await.unwrap();
        assert_eq!(fixture.store.drop_pings(at(8 * 60)).await.unwrap(), 7);
        assert_eq!(fixture.store.drop_pings(at(8 * 60)).await.unwrap(), 0);
        fixture.reopen().await;
        assert_eq!(fixture.store.load(at(0)).await.unwrap().last_pings, [(1, 10)]);
    });
}
