//! Results, wherever they lie: in the log, in blocks, or in both.

use watchbell_core::Reason;
use watchbell_core::Timestamp;
use watchbell_core::decide::Sight;
use watchbell_store::{Bucket, Commit, Engine, Lease, Store, StoredResult};

use crate::both::on_both;
use crate::examples::*;

/// One commit a minute for `minutes`, with a result of each monitor in it. Gives those of monitor 1.
async fn watch(store: &Store, lease: &Lease, monitors: i64, minutes: i64) -> Vec<StoredResult> {
    let mut all = Vec::new();
    for minute in 0..minutes {
        let mut commit = Commit::new(at(minute * 60), lease.clone());
        commit.results = (1..=monitors).map(|id| result(id, at(minute * 60), 80_000 + minute as u32)).collect();
        store.commit(&commit).await.unwrap();
        all.push(commit.results[0].clone());
    }
    all
}

#[test]
fn results_are_the_same_before_while_and_after_they_are_put_away() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let all = watch(store, &lease(store).await, 3, 200).await;
        // 10:30 is half past: four hours are touched.
        for (before, log_rows) in [(at(-9), 0), (at(100 * 60), 100), (at(9999 * 60), 100), (at(9999 * 60), 0)] {
            let compacted = store.compact(before).await.unwrap();
            assert_eq!((compacted.log_rows, compacted.results), (log_rows, log_rows * 3));
            assert_eq!(store.results(1, at(0), at(99_999), 999, false).await.unwrap(), all);

            let newest: Vec<_> = all.iter().rev().take(7).cloned().collect();
            assert_eq!(store.results(1, at(-99), at(99_999), 7, true).await.unwrap(), newest);
            assert_eq!(store.results(1, at(60), at(180), 99, false).await.unwrap(), all[1..3]);
            assert_eq!(store.results(4, at(0), at(99_999), 99, true).await.unwrap(), []);
        }
        assert_eq!(store.stats().await.unwrap().log_rows, 0);
    });
}

#[test]
fn the_newest_results_are_found_however_long_ago_they_were() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        let month = 30 * 86_400;
        for day in [0, 10, 20] {
            let mut commit = Commit::new(at(0), lease.clone());
            commit.results = vec![result(1, at(day * 86_400), 50_000)];
            store.commit(&commit).await.unwrap();
            store.compact(at(month)).await.unwrap();
        }
        let found = store.results(1, Timestamp::EPOCH, Timestamp::NEVER, 2, true).await.unwrap();
        assert_eq!(found.iter().map(|result| result.at).collect::<Vec<_>>(), [at(20 * 86_400), at(10 * 86_400)]);
        let found = store.results(1, Timestamp::EPOCH, Timestamp::NEVER, 9, false).await.unwrap();
        assert_eq!(found.len(), 3);
    });
}

#[test]
fn a_result_stored_twice_is_read_once() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        watch(store, &lease, 1, 3).await;
        store.compact(at(9999)).await.unwrap();
        let all = watch(store, &lease, 1, 3).await;
        assert_eq!(store.results(1, at(0), at(9999), 99, false).await.unwrap(), all);
        watch(store, &lease, 1, 3).await;
        assert_eq!(store.compact(at(9999)).await.unwrap().results, 3);
        assert_eq!(store.results(1, at(0), at(9999), 99, false).await.unwrap(), all);
        let chart = store.chart(1, at(0), at(180), 1).await.unwrap();
        assert_eq!(chart[0].n_ok, 3);
    });
}

#[test]
fn results_older_than_the_retention_are_dropped_by_the_hour() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        let all = watch(store, &lease, 2, 300).await;
        store.compact(at(9999 * 60)).await.unwrap();
        let before = at(200 * 60);
        let hour = Timestamp::from_millis(before.as_millis() / 3_600_000 * 3_600_000);
        assert!(store.drop_results(before).await.unwrap() > 0);
        let kept: Vec<_> = all.into_iter().filter(|result| result.at >= hour).collect();
        assert!(!kept.is_empty() && kept.len() < 300);
        assert_eq!(store.results(1, at(0), at(99_999), 999, false).await.unwrap(), kept);
        assert_eq!(store.stats().await.unwrap().oldest_result, Some(hour));
    });
}

#[test]
fn a_chart_counts_and_measures_each_stretch() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        let reason = || Reason::new("slow", "took 3 s");
        let mut commit = Commit::new(at(0), lease);
        commit.results = vec![
            result(1, at(-1), 1),
            result(1, at(0), 100_000),
            result(1, at(10), 300_000),
            StoredResult { sight: Sight::Slow(reason()), ..result(1, at(20), 3_000_000) },
            failure(1, at(59)),
            StoredResult { sight: Sight::Local(reason()), ..failure(1, at(60)) },
            StoredResult { sight: Sight::Missed(reason()), ..failure(1, at(61)) },
            result(1, at(180), 1),
        ];
        store.commit(&commit).await.unwrap();
        let chart = store.chart(1, at(0), at(180), 3).await.unwrap();
        let expected = [
            Bucket {
                from: at(0),
                n_ok: 2,
                n_slow: 1,
                n_fail: 1,
                n_local: 0,
                median_us: Some(300_000),
                p95_us: Some(3_000_000),
                min_us: Some(100_000),
                max_us: Some(3_000_000),
            },
            Bucket { from: at(60), n_local: 2, ..Bucket::default() },
            Bucket { from: at(120), ..Bucket::default() },
        ];
        assert_eq!(chart, expected);
        assert_eq!(store.chart(1, at(5), at(5), 0).await.unwrap().len(), 1);
    });
}

#[test]
fn one_damaged_row_hides_only_itself() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        let all = watch(store, &lease, 1, 3).await;
        let bytes = match fixture.engine() {
            Engine::Sqlite => "x'0105ffff'",
            Engine::Postgres => r"'\x0105ffff'",
        };
        let first = "(SELECT MIN(id) FROM result_log)";
        fixture.tamper(&format!("UPDATE result_log SET body = {bytes} WHERE id = {first}")).await;
        assert_eq!(store.results(1, at(0), at(9999), 99, false).await.unwrap(), all[1..]);
        assert_eq!(store.compact(at(9999)).await.unwrap().log_rows, 2);
        assert_eq!(store.results(1, at(0), at(9999), 99, false).await.unwrap(), all[1..]);
        assert_eq!(store.compact(at(9999)).await.unwrap().log_rows, 0);
    });
}
