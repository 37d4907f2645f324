use watchbell_core::Secret;
use watchbell_store::{Commit, OpenSettings, Store, StoreError, CommitError};
use crate::both::runtime;
use crate::examples::*;

#[test]
fn scratch_small_disk() {
    let Ok(dir) = std::env::var("SMALL_DISK") else { return };
    runtime().block_on(async {
        let store = Store::open(OpenSettings::folder(format!("{dir}/data"))).await.unwrap();
        let mut commit = Commit::new(NOON, lease(&store).await);
        let mut n = 0;
        let error = loop {
            commit.results = (0..1000).map(|i| result(i, at(n), 100_000 + (n*i) as u32)).collect();
            match store.commit(&commit).await { Ok(()) => n += 1, Err(e) => break e }
        };
        eprintln!("after {n}: {error:?}");
        assert!(matches!(error, CommitError::Store(StoreError::Full(_))));
        for _ in 0..3 { eprintln!("{:?}", store.commit(&commit).await); }
        eprintln!("read {}", store.results(5, at(0), at(99999), 99999, true).await.unwrap().len());
        assert_eq!(store.results(5, at(0), at(99999), 99999, true).await.unwrap().len() as i64, n);
        std::fs::remove_file(format!("{dir}/filler")).unwrap();
        eprintln!("after space: {:?}", store.commit(&commit).await);
        store.commit(&commit).await.unwrap();
        store.close().await.unwrap();
        let store = Store::open(OpenSettings::folder(format!("{dir}/data"))).await.unwrap();
        eprintln!("reopened {}", store.results(5, at(0), at(99999), 99999, true).await.unwrap().len());
        store.close().await.unwrap();
    });
}

#[test]
fn scratch_readonly_disk() {
    let Ok(dir) = std::env::var("RO_DISK") else { return };
    runtime().block_on(async {
        for d in [format!("{dir}/data"), dir.clone(), format!("{dir}/new")] {
            eprintln!("{:?}", Store::open(OpenSettings::folder(d)).await.map(drop));
        }
    });
}

#[test]
fn scratch_tls() {
    let Ok(urls) = std::env::var("TLS_URLS") else { return };
    runtime().block_on(async {
        for url in urls.split_whitespace() {
            match Store::open(OpenSettings::postgres(Secret::new(url))).await {
                Ok(s) => { eprintln!("OK {url} {:?}", s.lease_holder().await); }
                Err(e) => eprintln!("{url}: {e:?}"),
            }
        }
    });
}
