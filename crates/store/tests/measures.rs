//! What it costs. The figures are printed; each has a bound that it must keep on any machine worth running on.
//! Those that need the machine for themselves are run by hand:
//! `cargo test --release -p watchbell-store measures -- --ignored --nocapture --test-threads=1`.

use std::time::{Duration, Instant};

use watchbell_core::{Timestamp, Verdict};
use watchbell_store::{Change, Commit, Engine, MonitorWrite, Store};

use crate::both::{on_both, on_sqlite};
use crate::examples::*;

/// A second of watching: one commit with fifty unchanged results.
async fn second(store: &Store, commit: &mut Commit, number: i64) {
    commit.at = at(number);
    commit.results =
        (0..50).map(|n| result(n + 1, at(number).shifted(n * 20), 180_000 + (n * 37 % 9) as u32 * 1000)).collect();
    store.commit(commit).await.unwrap();
}

#[test]
fn an_unchanged_result_costs_less_than_a_third_of_a_kilobyte_of_journal() {
    on_sqlite(async |fixture| {
        let store = &fixture.store;
        let mut commit = Commit::new(NOON, lease(store).await);
        let journal = || fixture.folder.path().join("watchbell.db-wal").metadata().unwrap().len();
        let before = journal();
        // Fewer pages than bring the next checkpoint, after which the file would be written from its beginning.
        for number in 0..200 {
            second(store, &mut commit, number).await;
        }
        let bytes = (journal() - before) / (200 * 50);
        eprintln!("{bytes} bytes of journal a result");
        assert!(bytes <= 333, "{bytes}");
    });
}

#[test]
#[ignore = "needs the machine for itself"]
fn bytes_written_a_result_in_ten_minutes_at_fifty_a_second() {
    on_both(async |fixture| {
        if fixture.engine() == Engine::Postgres {
            return;
        }
        let store = &fixture.store;
        let mut commit = Commit::new(NOON, lease(store).await);
        let before = written();
        for number in 0..600 {
            second(store, &mut commit, number).await;
            if number % 5 == 0 {
                store.alive(at(number)).await.unwrap();
                assert!(store.renew_lease(&commit.lease).await.unwrap());
            }
        }
        let logged = written() - before;
        store.compact(at(9999)).await.unwrap();
        let all = written() - before;
        let results = 600 * 50;
        eprintln!("{} bytes a result, {} with putting them away", logged / results, all / results);
        assert!(all / results <= 1000);
    });
}

/// Bytes this process has given to the disk.
fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

#[test]
#[ignore = "needs the machine for itself"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn commits_a_second() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        for id in 1..=64 {
            create(store, &lease, id, &format!("shop-{id}")).await;
        }
        let one_change = |id: i64, n: i64| {
            let mut commit = Commit::new(at(n), lease.clone());
            commit.changes.push(Change::new(id, slug("shop"), Some(0), state(0, Verdict::Up)));
            commit
        };
        let begun = Instant::now();
        for n in 0..1000 {
            store.commit(&one_change(1, n)).await.unwrap();
        }
        eprintln!("one caller: {:.0} durable commits/s", 1000.0 / begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let tasks: Vec<_> = (1..=64)
            .map(|id| {
                let store = store.clone();
                let commits: Vec<_> = (0..100).map(|n| one_change(id, n)).collect();
                tokio::spawn(async move {
                    for commit in &commits {
                        store.commit(commit).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        eprintln!("64 callers: {:.0} durable commits/s", 6400.0 / begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let mut commit = Commit::new(NOON, lease.clone());
        for n in 0..100 {
            commit.results = (0..1000).map(|id| result(id, at(n), 100_000)).collect();
            store.commit(&commit).await.unwrap();
        }
        eprintln!("results, 1,000 a commit: {:.0}/s", 100_000.0 / begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let compacted = store.compact(at(9999)).await.unwrap();
        eprintln!("put away: {:.0} results/s", compacted.results as f64 / begun.elapsed().as_secs_f64());
        assert_eq!(compacted.results, 100_000);
    });
}

#[test]
#[ignore = "needs the machine for itself"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn ten_thousand_monitors_go_down_at_once_and_are_loaded() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        let mut commit = Commit::new(NOON, lease.clone());
        for id in 1..=10_000 {
            let name = format!("shop-{id}");
            commit.monitors.push(MonitorWrite::Put(monitor(id, &name)));
            commit.changes.push(Change::new(id, slug(&name), None, state(0, Verdict::Up)));
        }
        let begun = Instant::now();
        store.commit(&commit).await.unwrap();
        eprintln!("made in one commit: {:?}", begun.elapsed());

        let begun = Instant::now();
        for chunk in 0..50 {
            let mut commit = Commit::new(at(1), lease.clone());
            commit.changes = (1..=200)
                .map(|n| chunk * 200 + n)
                .map(|id| goes_down(id, &format!("shop-{id}"), 1, at(1), &["ops", "mail"]))
                .collect();
            store.commit(&commit).await.unwrap();
        }
        eprintln!("down with two deliveries each, 200 a commit: {:?}", begun.elapsed());

        let begun = Instant::now();
        let mut claimed = 0;
        for _ in 0..20 {
            claimed += store.claim_deliveries(at(2), "n", 20, Duration::from_secs(60), &[]).await.unwrap().len();
        }
        eprintln!("{claimed} of 20,000 deliveries claimed, 20 a time: {:?}", begun.elapsed());
        let begun = Instant::now();
        store.next_due(&[]).await.unwrap();
        eprintln!("next_due: {:?}", begun.elapsed());
        let begun = Instant::now();
        store.delivery_counts().await.unwrap();
        eprintln!("delivery_counts: {:?}", begun.elapsed());

        for round in ["cold", "warm"] {
            let begun = Instant::now();
            let loaded = store.load(Timestamp::EPOCH).await.unwrap();
            let took = begun.elapsed();
            assert_eq!((loaded.states.len(), loaded.open_incidents.len()), (10_000, 10_000));
            eprintln!("loaded, {round}: {took:?}");
            assert!(took < Duration::from_millis(if cfg!(debug_assertions) { 3000 } else { 300 }), "{took:?}");
        }
    });
}

#[test]
#[ignore = "needs the machine for itself"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn a_page_about_one_of_ten_thousand_monitors() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        // A day of 1,000 monitors at 60 s put away, and half an hour of 10,000 in the log.
        for hour in 0..24 {
            let mut commit = Commit::new(NOON, lease.clone());
            for minute in 0..60 {
                commit.results = (1..=1000).map(|id| result(id, at(hour * 3600 + minute * 60), 99_000)).collect();
                store.commit(&commit).await.unwrap();
            }
            store.compact(at(99_999_999)).await.unwrap();
        }
        let day = 24 * 3600;
        let mut commit = Commit::new(NOON, lease);
        for number in 0..1800 {
            commit.results = (0..167).map(|n| result(n * 60 + number % 60 + 1, at(day + number), 99_000)).collect();
            store.commit(&commit).await.unwrap();
        }
        let begun = Instant::now();
        let chart = store.chart(7, at(0), at(day + 3600), 200).await.unwrap();
        eprintln!("chart of a day: {:?}", begun.elapsed());
        assert!(chart.iter().map(|bucket| bucket.n_ok).sum::<u32>() >= 1440);
        let begun = Instant::now();
        let latest = store.results(7, at(0), at(day + 3600), 50, true).await.unwrap();
        eprintln!("latest 50 results: {:?}", begun.elapsed());
        assert_eq!(latest.len(), 50);
        let begun = Instant::now();
        let compacted = store.compact(at(99_999_999)).await.unwrap();
        eprintln!("{} results of 10,000 monitors put away: {:?}", compacted.results, begun.elapsed());
        let begun = Instant::now();
        store.results(7, at(0), at(day + 3600), 50, true).await.unwrap();
        eprintln!("latest 50 results from blocks: {:?}", begun.elapsed());
        eprintln!("{:?}", store.stats().await.unwrap());
    });
}
