//! What people are told: once claimed, in order, until done or visibly given up.

use std::collections::BTreeSet;
use std::time::Duration;

use watchbell_core::decide::NoticeKind;
use watchbell_core::{Timestamp, Verdict};
use watchbell_store::{
    Change, Commit, Delivery, DeliveryCounts, DeliveryFilter, DeliveryState, Engine, Finished, Lease, NewDelivery,
    Page, Store, StoreError,
};

use crate::both::on_both;
use crate::examples::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Claims as one node does.
async fn claim(store: &Store, now: Timestamp) -> Vec<Delivery> {
    store.claim_deliveries(now, "node-a", 20, MINUTE, &[]).await.unwrap()
}

/// Monitors 1 to `count`, each down, each with one delivery to ops due at once.
async fn outage(store: &Store, count: i64) -> Lease {
    let lease = lease(store).await;
    let mut commit = Commit::new(at(0), lease.clone());
    for id in 1..=count {
        let name = format!("shop-{id}");
        create(store, &lease, id, &name).await;
        commit.changes.push(goes_down(id, &name, 1, at(0), &["ops"]));
    }
    store.commit(&commit).await.unwrap();
    lease
}

/// Stores one further notice of monitor 1.
async fn tell(store: &Store, lease: &Lease, event: NoticeKind, now: Timestamp) {
    let mut commit = Commit::new(now, lease.clone());
    let mut change = Change::new(1, slug("shop-1"), Some(1), state(1, Verdict::Down));
    change.deliveries.push(delivery(1, "shop-1", 1, event, "ops", now));
    commit.changes.push(change);
    store.commit(&commit).await.unwrap();
}

async fn only(store: &Store) -> Delivery {
    let [delivery] = store.deliveries(&DeliveryFilter::default(), Page::first(9)).await.unwrap().try_into().unwrap();
    delivery
}

#[test]
fn a_delivery_is_claimed_tried_and_done() {
    on_both(async |fixture| {
        let store = &fixture.store;
        outage(store, 1).await;
        assert_eq!(store.next_due(&[]).await.unwrap(), Some(at(0)));
        assert_eq!(claim(store, at(-1)).await, [], "not before it is due");

        let [claimed] = claim(store, at(1)).await.try_into().unwrap();
        assert_eq!((claimed.state, claimed.attempt), (DeliveryState::Claimed, 1));
        assert_eq!((claimed.claimed_by.as_deref(), claimed.claimed_until), (Some("node-a"), Some(at(61))));
        assert_eq!((claimed.event.as_str(), claimed.key.as_str()), ("down", "cluster/1/1/ops/down"));
        assert_eq!(claim(store, at(2)).await, []);

        let done = Finished::Done { status: Some(202), answer: "thanks".into() };
        assert!(store.finish_delivery(claimed.id, 1, at(3), done, None).await.unwrap());
        let (delivery, attempts) = store.delivery(claimed.id).await.unwrap().unwrap();
        assert_eq!((delivery.state, delivery.done_at), (DeliveryState::Done, Some(at(3))));
        assert_eq!(attempts.len(), 1);
        assert_eq!((attempts[0].started_at, attempts[0].ended_at), (at(1), Some(at(3))));
        assert_eq!(attempts[0].answer.as_deref(), Some("202: thanks"));
        assert_eq!(store.next_due(&[]).await.unwrap(), None);
        assert_eq!(claim(store, at(1000)).await, []);
    });
}

#[test]
fn a_refused_delivery_comes_again_when_it_is_due() {
    on_both(async |fixture| {
        let store = &fixture.store;
        outage(store, 1).await;
        let id = claim(store, at(0)).await[0].id;
        let later = Finished::Later { due: at(10), error: "503 Service Unavailable".into() };
        assert!(store.finish_delivery(id, 1, at(1), later, None).await.unwrap());
        assert_eq!(store.next_due(&[]).await.unwrap(), Some(at(10)));
        assert_eq!(claim(store, at(9)).await, []);
        let again = &claim(store, at(10)).await[0];
        assert_eq!((again.attempt, again.last_error.as_deref()), (2, Some("503 Service Unavailable")));
        assert_eq!(store.delivery(id).await.unwrap().unwrap().1.len(), 2);
    });
}

#[test]
fn a_dead_delivery_stays_visible_and_goes_again_with_the_same_key() {
    on_both(async |fixture| {
        let store = &fixture.store;
        outage(store, 1).await;
        let claimed = claim(store, at(0)).await.remove(0);
        let dead = Finished::Dead { error: "404 Not Found".into() };
        assert!(store.finish_delivery(claimed.id, 1, at(1), dead, None).await.unwrap());
        let filter = DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
        assert_eq!(store.deliveries(&filter, Page::first(9)).await.unwrap().len(), 1);
        assert_eq!(store.delivery_counts().await.unwrap().dead, 1);
        assert_eq!(claim(store, at(99)).await, []);

        assert!(store.retry_delivery(claimed.id, at(100)).await.unwrap());
        assert!(!store.retry_delivery(claimed.id, at(100)).await.unwrap(), "it is pending now");
        let again = claim(store, at(100)).await.remove(0);
        assert_eq!((again.id, again.key, again.attempt), (claimed.id, claimed.key, 2));
    });
}

#[test]
fn a_claim_that_ran_out_is_claimed_again_and_the_late_answer_changes_nothing() {
    on_both(async |fixture| {
        let store = &fixture.store;
        outage(store, 1).await;
        let id = claim(store, at(0)).await[0].id;
        assert_eq!(store.next_due(&[]).await.unwrap(), Some(at(60)));
        let second = store.claim_deliveries(at(60), "node-b", 20, MINUTE, &[]).await.unwrap();
        assert_eq!(second[0].attempt, 2);

        let late = Finished::Dead { error: "late".into() };
        assert!(!store.finish_delivery(id, 1, at(61), late, None).await.unwrap());
        let (delivery, attempts) = store.delivery(id).await.unwrap().unwrap();
        assert_eq!((delivery.state, delivery.last_error), (DeliveryState::Claimed, None));
        assert_eq!(attempts[0].outcome.as_deref(), Some("dead"), "the record of the try is kept");
        let done = Finished::Done { status: None, answer: String::new() };
        assert!(store.finish_delivery(id, 2, at(62), done, None).await.unwrap());
    });
}

#[test]
fn nothing_overtakes_an_earlier_delivery_of_the_same_channel_and_monitor() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = outage(store, 2).await;
        tell(store, &lease, NoticeKind::Up, at(5)).await;

        // Both first ones go; the second about shop-1 waits, claimed or put off.
        let first = claim(store, at(6)).await;
        assert_eq!(first.iter().map(|delivery| delivery.monitor.unwrap()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(claim(store, at(7)).await, []);
        let later = Finished::Later { due: at(50), error: "503".into() };
        store.finish_delivery(first[0].id, 1, at(7), later, None).await.unwrap();
        assert_eq!(claim(store, at(8)).await, []);
        assert_eq!(store.next_due(&[]).await.unwrap(), Some(at(50)), "not the moment of the one that has to wait");

        let down = claim(store, at(50)).await;
        assert_eq!(down[0].event, "down");
        store.finish_delivery(down[0].id, 2, at(51), Finished::Dead { error: "gone".into() }, None).await.unwrap();
        let up = claim(store, at(51)).await;
        assert_eq!(up[0].event, "up");
    });
}

#[test]
fn busy_channels_are_passed_over() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let mut commit = Commit::new(at(0), lease);
        commit.changes.push(goes_down(1, "shop", 1, at(0), &["a", "b", "a_b", "c"]));
        store.commit(&commit).await.unwrap();
        let busy = [slug("a"), slug("c"), slug("axb")];
        let claimed = store.claim_deliveries(at(0), "node-a", 20, MINUTE, &busy).await.unwrap();
        assert_eq!(claimed.iter().map(|delivery| delivery.channel.as_str()).collect::<Vec<_>>(), ["b", "a_b"]);
        assert_eq!(store.next_due(&[slug("a"), slug("b"), slug("c"), slug("a_b")]).await.unwrap(), None);
        assert_eq!(store.next_due(&[slug("b"), slug("a_b")]).await.unwrap(), Some(at(0)));
    });
}

#[test]
fn eight_senders_at_once_get_each_delivery_once() {
    on_both(async |fixture| {
        let store = &fixture.store;
        outage(store, 60).await;
        let tasks: Vec<_> = (0..8)
            .map(|node| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    for _ in 0..20 {
                        let claimed =
                            store.claim_deliveries(at(0), &format!("node-{node}"), 3, MINUTE, &[]).await.unwrap();
                        mine.extend(claimed.iter().map(|delivery| delivery.id));
                    }
                    mine
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        assert_eq!(all.len(), 60);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 60, "one was claimed twice");
        for id in all {
            assert_eq!(store.delivery(id).await.unwrap().unwrap().1.len(), 1);
        }
    });
}

#[test]
fn senders_that_work_side_by_side_keep_the_order_of_each_monitor() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = outage(store, 1).await;
        for event in [NoticeKind::Reminder, NoticeKind::Up, NoticeKind::Expiry, NoticeKind::Degraded] {
            tell(store, &lease, event, at(1)).await;
        }
        let sent = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..4)
            .map(|node| {
                let (store, sent) = (store.clone(), sent.clone());
                tokio::spawn(async move {
                    while sent.lock().unwrap().len() < 5 {
                        for delivery in
                            store.claim_deliveries(at(2), &format!("n{node}"), 2, MINUTE, &[]).await.unwrap()
                        {
                            sent.lock().unwrap().push(delivery.id);
                            let done = Finished::Done { status: Some(200), answer: String::new() };
                            store.finish_delivery(delivery.id, delivery.attempt, at(2), done, None).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            tokio::time::timeout(MINUTE, task).await.unwrap().unwrap();
        }
        let sent = sent.lock().unwrap().clone();
        assert!(sent.is_sorted() && sent.len() == 5, "{sent:?}");
    });
}

#[test]
fn a_restarted_node_takes_up_its_own_claims_at_once() {
    on_both(async |fixture| {
        outage(&fixture.store, 2).await;
        assert_eq!(claim(&fixture.store, at(0)).await.len(), 2);
        fixture.reopen().await;
        let store = &fixture.store;
        if fixture.engine() == Engine::Postgres {
            assert_eq!(claim(store, at(1)).await, [], "another node might be sending them");
            assert_eq!(store.release_claims("somebody-else").await.unwrap(), 0);
            assert_eq!(store.release_claims("node-a").await.unwrap(), 2);
        }
        let again = claim(store, at(1)).await;
        assert_eq!(again.iter().map(|delivery| delivery.attempt).collect::<Vec<_>>(), [2, 2]);
    });
}

#[test]
fn reminders_nobody_has_begun_to_send_are_cancelled_and_nothing_else() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = outage(store, 1).await;
        tell(store, &lease, NoticeKind::Reminder, at(5)).await;
        let mut commit = Commit::new(at(6), lease);
        let mut up = Change::new(1, slug("shop-1"), Some(1), state(1, Verdict::Down));
        up.cancel_reminders = true;
        up.deliveries.push(delivery(1, "shop-1", 2, NoticeKind::Up, "ops", at(6)));
        commit.changes.push(up);
        store.commit(&commit).await.unwrap();
        let all = store.deliveries(&DeliveryFilter::default(), Page::first(9)).await.unwrap();
        let seen: Vec<_> = all.iter().map(|delivery| (delivery.event.as_str(), delivery.state)).collect();
        let expected =
            [("up", DeliveryState::Pending), ("reminder", DeliveryState::Cancelled), ("down", DeliveryState::Pending)];
        assert_eq!(seen, expected);
    });
}

#[test]
fn a_fallback_is_stored_with_the_failure_it_stands_in_for() {
    on_both(async |fixture| {
        let store = &fixture.store;
        outage(store, 1).await;
        let claimed = claim(store, at(0)).await.remove(0);
        let fallback = NewDelivery {
            key: "cluster/1/1/mail/down".into(),
            ..NewDelivery::new(slug("mail"), claimed.message.clone(), at(1))
        };
        let dead = Finished::Dead { error: "401 Unauthorized".into() };
        assert!(store.finish_delivery(claimed.id, 1, at(1), dead.clone(), Some(fallback.clone())).await.unwrap());
        // The same report again, after an answer that was lost, stores it once.
        assert!(!store.finish_delivery(claimed.id, 1, at(1), dead, Some(fallback)).await.unwrap());
        let [next] = claim(store, at(1)).await.try_into().unwrap();
        assert_eq!((next.channel, next.fallback_of, next.monitor), (slug("mail"), Some(claimed.id), Some(1)));
        assert_eq!(next.slug, Some(slug("shop-1")));
    });
}

#[test]
fn a_test_of_a_channel_belongs_to_no_monitor_and_has_its_own_key() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let mut test = delivery(1, "shop", 1, NoticeKind::Down, "ops", at(0));
        test.message.test = true;
        let id = store.add_delivery(&test, at(0)).await.unwrap();
        assert!(matches!(store.add_delivery(&test, at(0)).await, Err(StoreError::Taken(_))));
        let stored = only(store).await;
        assert_eq!((stored.id, stored.monitor, stored.event.as_str()), (id, None, "test"));
        assert_eq!(stored.message, test.message);
    });
}

#[test]
fn deliveries_are_found_by_monitor_incident_channel_and_state_page_by_page() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = outage(store, 5).await;
        tell(store, &lease, NoticeKind::Reminder, at(5)).await;
        let list = async |filter: DeliveryFilter, page| -> Vec<i64> {
            let all = store.deliveries(&filter, page).await.unwrap();
            all.iter().map(|delivery| delivery.id).collect()
        };
        let all = DeliveryFilter::default;
        let newest = list(all(), Page::first(4)).await;
        assert_eq!(newest.len(), 4);
        let rest = list(all(), Page::after(newest[3], 500)).await;
        assert_eq!([newest, rest].concat().len(), 6);
        assert_eq!(
            list(DeliveryFilter { monitor: Some(1), incident: Some(1), ..all() }, Page::first(9)).await.len(),
            2
        );
        assert_eq!(
            list(DeliveryFilter { monitor: Some(1), incident: Some(2), ..all() }, Page::first(9)).await.len(),
            0
        );
        assert_eq!(list(DeliveryFilter { channel: Some(slug("ops")), ..all() }, Page::first(9)).await.len(), 6);
        assert_eq!(list(DeliveryFilter { channel: Some(slug("x")), ..all() }, Page::first(9)).await.len(), 0);
        claim(store, at(0)).await;
        let claimed = DeliveryFilter { state: Some(DeliveryState::Claimed), ..all() };
        assert_eq!(list(claimed, Page::first(9)).await.len(), 5);
        let counts = DeliveryCounts { pending: 1, claimed: 5, dead: 0, oldest_pending: Some(at(0)) };
        assert_eq!(store.delivery_counts().await.unwrap(), counts);
    });
}

#[test]
fn a_delivery_that_cannot_be_read_is_given_up_and_holds_up_nobody() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = outage(store, 1).await;
        tell(store, &lease, NoticeKind::Up, at(1)).await;
        fixture.tamper("UPDATE delivery SET message = '{}' WHERE event = 'down'").await;
        assert_eq!(claim(store, at(2)).await, []);
        assert_eq!(store.delivery_counts().await.unwrap().dead, 1);
        assert_eq!(claim(store, at(2)).await[0].event, "up");
        let listed = store.deliveries(&DeliveryFilter::default(), Page::first(9)).await.unwrap();
        assert_eq!(listed.len(), 1, "what can be read is listed");
    });
}

#[test]
fn what_is_never_tried_is_still_looked_after() {
    on_both(async |fixture| {
        let store = &fixture.store;
        outage(store, 3).await;
        assert_eq!(store.overdue_deliveries(at(-1), 10).await.unwrap(), [], "nothing is that old");
        let old = store.overdue_deliveries(at(5), 2).await.unwrap();
        assert_eq!(old.len(), 2);

        // What has a fallback already is not found again; the fallback itself never is.
        let mut fallback = NewDelivery::new(slug("mail"), old[0].message.clone(), at(6));
        fallback.key = format!("{}/fallback", old[0].key);
        fallback.fallback_of = Some(old[0].id);
        assert!(!store.has_delivery(&fallback.key).await.unwrap());
        store.add_delivery(&fallback, at(6)).await.unwrap();
        assert!(store.has_delivery(&fallback.key).await.unwrap());
        let left: Vec<i64> = store.overdue_deliveries(at(7), 10).await.unwrap().iter().map(|it| it.id).collect();
        assert!(left.len() == 2 && !left.contains(&old[0].id), "{left:?}");

        // Past its time: given up, unless somebody is sending it just now.
        let [claimed] = store.claim_deliveries(at(8), "node-a", 1, MINUTE, &[]).await.unwrap().try_into().unwrap();
        assert_eq!(store.expire_deliveries(at(5), at(9), "too old").await.unwrap(), 2);
        let dead = DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
        let dead = store.deliveries(&dead, Page::first(9)).await.unwrap();
        assert!(
            dead.len() == 2 && dead.iter().all(|it| it.id != claimed.id && it.last_error.as_deref() == Some("too old"))
        );
    });
}

#[test]
fn a_leaping_clock_takes_what_waits_along() {
    on_both(async |fixture| {
        let store = &fixture.store;
        outage(store, 1).await;
        store.shift_deliveries(-3_600_000).await.unwrap();
        assert_eq!(store.next_due(&[]).await.unwrap(), Some(at(-3600)));
        let [claimed] = claim(store, at(-3599)).await.try_into().unwrap();
        assert_eq!(claimed.created_at, at(-3600), "its age is what it was");
    });
}
