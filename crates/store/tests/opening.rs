//! Opening, closing, keeping, refusing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use watchbell_core::{Secret, Timestamp, Verdict};
use watchbell_store::{
    Change, ChannelWrite, Commit, DeliveryFilter, Engine, Finished, Keep, OpenSettings, Page, Place, Store, StoreError,
};

use crate::both::{Database, execute, on_both, on_postgres, on_sqlite, runtime};
use crate::examples::*;

#[test]
fn everything_is_there_after_a_restart() {
    on_both(async |fixture| {
        let cluster = fixture.store.cluster_id().to_owned();
        let mut commit = Commit::new(at(0), lease(&fixture.store).await);
        create(&fixture.store, &commit.lease, 1, "shop").await;
        commit.channels.push(ChannelWrite::Put(channel("ops")));
        commit.changes.push(goes_down(1, "shop", 1, at(0), &["ops"]));
        commit.results.push(failure(1, at(0)));
        fixture.store.commit(&commit).await.unwrap();
        fixture.store.alive(at(7)).await.unwrap();
        let before = format!("{:?}", fixture.store.load(Timestamp::EPOCH).await.unwrap());

        fixture.reopen().await;
        let store = &fixture.store;
        assert_eq!(format!("{:?}", store.load(Timestamp::EPOCH).await.unwrap()), before);
        assert_eq!(store.load(Timestamp::EPOCH).await.unwrap().alive_at, Some(at(7)));
        assert_eq!(store.results(1, at(0), at(9), 9, true).await.unwrap(), [failure(1, at(0))]);
        assert_eq!(store.cluster_id(), cluster);
        assert_eq!(cluster.len(), 36);
        assert_eq!(&cluster[14..15], "4", "{cluster} is no random UUID");
    });
}

#[test]
fn two_databases_never_share_an_id() {
    on_sqlite(async |fixture| {
        let folder = tempfile::tempdir().unwrap();
        let other = Store::open(OpenSettings::folder(folder.path())).await.unwrap();
        assert_ne!(fixture.store.cluster_id(), other.cluster_id());
        other.close().await.unwrap();
    });
}

#[test]
fn a_closed_store_says_so() {
    on_both(async |fixture| {
        let store = &fixture.store;
        store.close().await.unwrap();
        assert_eq!(store.load(NOON).await.map(drop), Err(StoreError::Closed));
        assert_eq!(store.alive(NOON).await, Err(StoreError::Closed));
        store.close().await.unwrap();
    });
}

#[test]
fn a_folder_is_one_process_s() {
    on_sqlite(async |fixture| {
        let error = Store::open(fixture.settings.clone()).await.map(drop).unwrap_err();
        let sentence = format!(
            "`{}` is in use by another watchbell (pid {}); stop it or choose another --data",
            fixture.folder.path().display(),
            std::process::id()
        );
        assert_eq!(error, StoreError::InUse(sentence));
    });
}

#[test]
fn a_folder_is_made_for_its_owner_only() {
    runtime().block_on(async {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let store = Store::open(OpenSettings::folder(&folder)).await.unwrap();
        store.alive(NOON).await.unwrap();
        let mode = |name: &str| folder.join(name).metadata().unwrap().permissions().mode() & 0o777;
        for (name, expected) in
            [("", 0o700), ("watchbell.db", 0o600), ("watchbell.db-wal", 0o600), ("watchbell.lock", 0o600)]
        {
            assert_eq!(mode(name), expected, "{name}");
        }
        store.close().await.unwrap();
    });
}

#[test]
fn what_is_no_folder_or_no_database_is_refused_with_a_sentence() {
    runtime().block_on(async {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, "text").unwrap();
        let error = Store::open(OpenSettings::folder(&file)).await.map(drop).unwrap_err();
        assert!(matches!(&error, StoreError::Folder(text) if text.contains("is not a folder")), "{error}");

        let folder = parent.path().join("data");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("watchbell.db"), "this is no database at all, is it? ".repeat(100)).unwrap();
        let error = Store::open(OpenSettings::folder(&folder)).await.map(drop).unwrap_err();
        assert!(matches!(&error, StoreError::Unreadable(text) if text.contains("restore a backup")), "{error}");

        let nowhere = OpenSettings::folder("/proc/watchbell");
        let error = Store::open(nowhere).await.map(drop).unwrap_err();
        assert!(matches!(&error, StoreError::Folder(text) if text.contains("`/proc/watchbell`")), "{error}");
    });
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    on_both(async |fixture| {
        fixture.store.close().await.unwrap();
        let newer = match fixture.engine() {
            Engine::Sqlite => "PRAGMA user_version = 77",
            Engine::Postgres => "INSERT INTO schema_version (version) VALUES (77)",
        };
        fixture.tamper(newer).await;
        for _ in 0..2 {
            let error = Store::open(fixture.settings.clone()).await.map(drop).unwrap_err();
            let StoreError::Newer(sentence) = error else { panic!("{error:?}") };
            assert!(sentence.contains("its version is 77"), "{sentence}");
        }
    });
}

/// From every version there ever was. A new one needs its file in `tests/versions`, with what it leaves behind.
#[test]
fn every_earlier_version_is_brought_up_to_date_and_again_is_no_change() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let versions = here.join("migrations/sqlite").read_dir().unwrap().count();
    let read = |folder: &str, version: usize| {
        let file = here.join(folder).join(format!("{version:04}.sql"));
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    for version in 1..=versions {
        let made =
            |engine: &str| -> String { (1..=version).map(|n| read(&format!("migrations/{engine}"), n)).collect() };
        let left_behind = read("tests/versions", version);

        let folder = tempfile::tempdir().unwrap();
        let connection = rusqlite::Connection::open(folder.path().join("watchbell.db")).unwrap();
        let texts = [made("sqlite"), format!("PRAGMA user_version = {version};"), left_behind.clone()];
        connection.execute_batch(&texts.concat()).unwrap();
        drop(connection);
        runtime().block_on(comes_back(OpenSettings::folder(folder.path())));

        let database = Database::create();
        let stamp = format!(
            "CREATE TABLE schema_version (version BIGINT NOT NULL); INSERT INTO schema_version VALUES ({version});"
        );
        runtime().block_on(execute(&database.url, &[made("postgres"), stamp, left_behind].concat()));
        runtime().block_on(comes_back(OpenSettings::postgres(Secret::new(&*database.url))));
    }
}

/// Twice, because the second opening must change nothing.
async fn comes_back(settings: OpenSettings) {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let store = Store::open(settings.clone()).await.unwrap();
        let loaded = store.load(Timestamp::EPOCH).await.unwrap();
        assert_eq!(loaded.unreadable, [] as [String; 0]);
        assert_eq!(loaded.monitors, [monitor(1, "shop")]);
        assert_eq!(loaded.states, [(1, state(1, Verdict::Down))]);
        assert_eq!(loaded.channels, [channel("ops")]);
        assert_eq!((loaded.transitions.len(), loaded.open_incidents.len()), (1, 1));
        let deliveries = store.deliveries(&DeliveryFilter::default(), Page::first(9)).await.unwrap();
        assert_eq!(deliveries.len(), 1);
        ids.push(store.cluster_id().to_owned());
        store.close().await.unwrap();
    }
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn nodes_that_start_together_migrate_once() {
    let database = Database::create();
    runtime().block_on(async {
        let tasks: Vec<_> =
            (0..6).map(|_| tokio::spawn(Store::open(OpenSettings::postgres(Secret::new(&*database.url))))).collect();
        let mut clusters = Vec::new();
        for task in tasks {
            let store = task.await.unwrap().unwrap();
            clusters.push(store.cluster_id().to_owned());
            store.close().await.unwrap();
        }
        clusters.dedup();
        assert_eq!(clusters.len(), 1);
    });
}

#[test]
fn an_unreadable_row_is_named_and_hides_nothing_else() {
    on_both(async |fixture| {
        let lease = lease(&fixture.store).await;
        create(&fixture.store, &lease, 1, "shop").await;
        create(&fixture.store, &lease, 2, "mail").await;
        fixture.tamper("UPDATE state SET body = '{\"verdict\":\"sideways\"}' WHERE monitor_id = 1").await;
        let loaded = fixture.store.load(NOON).await.unwrap();
        assert_eq!((loaded.monitors.len(), loaded.states.len()), (2, 1));
        assert!(loaded.unreadable[0].starts_with("the state of monitor 1 cannot be read"), "{:?}", loaded.unreadable);
    });
}

#[test]
fn a_backup_is_a_whole_store_made_while_work_goes_on() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let target = tempfile::tempdir().unwrap();
        let file = target.path().join("watchbell.db");
        if fixture.engine() == Engine::Postgres {
            let error = store.backup_to(&file).await.unwrap_err();
            assert!(matches!(&error, StoreError::Unsupported(text) if text.contains("pg_dump")), "{error}");
            return;
        }
        store.backup_to(&file).await.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = store.backup_to(&file).await.unwrap_err();
        assert!(error.to_string().contains("exists; name a new file"), "{error}");
        let error = store.backup_to(&target.path().join("no/where.db")).await.unwrap_err();
        assert!(matches!(error, StoreError::Folder(_)), "{error}");
        create(store, &lease, 2, "mail").await;

        let copy = Store::open(OpenSettings::folder(target.path())).await.unwrap();
        assert_eq!(copy.load(NOON).await.unwrap().monitors, [monitor(1, "shop")]);
        assert_eq!(copy.cluster_id(), store.cluster_id());
        copy.close().await.unwrap();
    });
}

#[test]
fn a_folder_in_use_can_be_backed_up_by_another_process() {
    on_sqlite(async |fixture| {
        let lease = lease(&fixture.store).await;
        create(&fixture.store, &lease, 1, "shop").await;
        let target = tempfile::tempdir().unwrap();
        let file = target.path().join("watchbell.db");
        Store::backup_folder(fixture.folder.path(), &file).await.unwrap();
        let copy = Store::open(OpenSettings::folder(target.path())).await.unwrap();
        assert_eq!(copy.load(NOON).await.unwrap().monitors.len(), 1);
        copy.close().await.unwrap();

        let other = target.path().join("other.db");
        let error = Store::backup_folder(&target.path().join("nowhere"), &other).await.unwrap_err();
        assert!(error.to_string().contains("cannot be opened"), "{error}");
        assert!(!other.exists(), "half a backup was left");
    });
}

#[test]
fn what_is_over_and_old_is_tidied_away() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let mut commit = Commit::new(at(0), lease);
        commit.changes.push(goes_down(1, "shop", 1, at(0), &["ops", "mail"]));
        store.commit(&commit).await.unwrap();
        let claimed = store.claim_deliveries(at(0), "n", 1, Duration::from_secs(60), &[]).await.unwrap();
        let done = Finished::Done { status: None, answer: String::new() };
        store.finish_delivery(claimed[0].id, 1, at(1), done, None).await.unwrap();

        let day = Duration::from_secs(86_400);
        let keep = Keep { deliveries: day, audit: day, gaps: day };
        assert_eq!(store.tidy(at(100), &keep).await.unwrap(), 0);
        assert_eq!(store.tidy(at(2 * 86_400), &keep).await.unwrap(), 2, "the delivery and its try");
        let left = store.deliveries(&DeliveryFilter::default(), Page::first(9)).await.unwrap();
        assert_eq!(left.len(), 1, "what is not done is never thrown away");
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.monitors, stats.incidents, stats.deliveries), (1, 1, 1));
        assert!(stats.bytes > 10_000);
    });
}

#[test]
fn channels_are_put_and_deleted() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let mut ops = channel("ops");
        store.put_channel(&ops).await.unwrap();
        (ops.rev, ops.disabled, ops.updated_at) = (2, Some("401 Unauthorized".into()), at(9));
        store.put_channel(&ops).await.unwrap();
        assert_eq!(store.channels().await.unwrap(), [ops]);
        assert!(store.delete_channel(&slug("ops")).await.unwrap());
        assert!(!store.delete_channel(&slug("ops")).await.unwrap());
    });
}

#[test]
fn a_server_that_is_not_there_is_named_without_the_password() {
    let database = Database::create();
    runtime().block_on(async {
        let settings = OpenSettings::postgres(Secret::new("postgres://u:hunter2@127.0.0.1:9/d?sslmode=disable"));
        let error = Store::open(settings).await.map(drop).unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable(text) if text.contains("127.0.0.1:9/d")), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let missing = database.url.replace("watchbell_test", "not_there");
        let error = Store::open(OpenSettings::postgres(Secret::new(missing))).await.map(drop).unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable(text) if text.contains("createdb")), "{error}");
    });
}

#[test]
fn connections_that_the_server_closed_are_replaced() {
    on_postgres(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        let Place::Postgres(url) = &fixture.settings.place else { unreachable!("this is PostgreSQL") };
        for round in 1..4 {
            execute(
                url.expose(),
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
            assert_eq!(store.load(NOON).await.unwrap().monitors.len(), 1);
            let mut commit = Commit::new(at(round), lease.clone());
            commit.changes.push(Change::new(1, slug("shop"), Some(0), state(0, Verdict::Up)));
            store.commit(&commit).await.unwrap();
        }
    });
}

#[test]
fn a_caller_who_stops_waiting_leaves_no_half_transaction() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let lease = lease(store).await;
        create(store, &lease, 1, "shop").await;
        for seq in 1..60 {
            let mut commit = Commit::new(at(0), lease.clone());
            commit.changes.push(goes_down(1, "shop", seq, at(0), &["ops", "mail"]));
            // Whether it happens is decided behind our back, but never halfway; load() sees one moment.
            let wait = Duration::from_micros(seq * 20);
            let _ = tokio::time::timeout(wait, store.commit(&commit)).await;
            let loaded = store.load(Timestamp::EPOCH).await.unwrap();
            let seq = usize::try_from(loaded.states[0].1.seq).unwrap();
            assert_eq!((loaded.transitions.len(), loaded.open_incidents.len()), (seq, seq));
        }
    });
}
