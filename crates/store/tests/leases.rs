//! Who may write.

use watchbell_store::{Commit, CommitError, Engine, LEASE_FOR};

use crate::both::on_both;
use crate::examples::*;

#[test]
fn one_node_at_a_time_is_active() {
    on_both(async |fixture| {
        let store = &fixture.store;
        assert_eq!(store.lease_holder().await.unwrap(), None);
        let first = store.acquire_lease("node-a").await.unwrap().unwrap();
        assert_eq!(store.acquire_lease("node-b").await.unwrap(), None);

        let holder = store.lease_holder().await.unwrap().unwrap();
        assert_eq!((holder.node.as_str(), holder.epoch), ("node-a", first.epoch));
        assert!(holder.remaining <= LEASE_FOR && holder.remaining > LEASE_FOR / 2, "{holder:?}");

        assert!(store.renew_lease(&first).await.unwrap());
        store.release_lease(&first).await.unwrap();
        let second = store.acquire_lease("node-b").await.unwrap().unwrap();
        assert!(second.epoch > first.epoch);
        assert!(!store.renew_lease(&first).await.unwrap());
    });
}

#[test]
fn a_node_that_comes_back_under_its_name_fences_off_what_it_was_before() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let before = lease(store).await;
        let after = lease(store).await;
        assert_eq!(after.epoch, before.epoch + 1);
        assert_eq!(store.commit(&Commit::new(NOON, before)).await, Err(CommitError::Fenced));
        store.commit(&Commit::new(NOON, after)).await.unwrap();
    });
}

#[test]
fn eight_nodes_that_want_the_lease_get_it_once() {
    on_both(async |fixture| {
        let tasks: Vec<_> = (0..8)
            .map(|node| {
                let store = fixture.store.clone();
                tokio::spawn(async move { store.acquire_lease(&format!("node-{node}")).await.unwrap() })
            })
            .collect();
        let mut holders = 0;
        for task in tasks {
            holders += usize::from(task.await.unwrap().is_some());
        }
        assert_eq!(holders, 1);
    });
}

#[test]
fn a_restart_over_the_same_folder_need_not_wait_for_the_old_lease() {
    on_both(async |fixture| {
        let before = fixture.store.acquire_lease("before").await.unwrap().unwrap();
        fixture.reopen().await;
        let after = fixture.store.acquire_lease("after").await.unwrap();
        match fixture.engine() {
            Engine::Sqlite => assert!(after.unwrap().epoch > before.epoch),
            // There the old node may still be alive.
            Engine::Postgres => assert_eq!(after, None),
        }
    });
}
