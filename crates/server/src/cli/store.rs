//! `watchbell backup` and `watchbell migrate`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use watchbell_net::stopwatch::Stopwatch;
use watchbell_store::Store;

use super::{Outcome, StoreArgs, progress, say};

#[derive(Args)]
pub(super) struct BackupArgs {
    /// The file to write; it must not exist yet
    file: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn backup(args: BackupArgs) -> anyhow::Result<Outcome> {
    let watch = Stopwatch::start();
    progress(&format!("Copying the database of {} …", args.store.place()));
    if args.store.database.is_some() {
        let store = Store::open(args.store.settings()).await?;
        let copied = store.backup_to(&args.file).await;
        store.close().await?;
        copied?;
    } else {
        // A server may be running on this folder; the copy is consistent all the same.
        Store::backup_folder(&args.store.data, &args.file).await?;
    }
    let bytes = std::fs::metadata(&args.file).context("the copy cannot be looked at")?.len();
    say(&format!(
        "{} holds a copy of everything ({} MiB, {:.1} s). Secrets in it are sealed: keep {} too, in another place.\n",
        args.file.display(),
        bytes.div_ceil(1024 * 1024),
        watch.elapsed().as_secs_f64(),
        args.store.data.join("secret.key").display(),
    ))?;
    Ok(Outcome::Fine)
}

pub(super) async fn migrate(args: StoreArgs) -> anyhow::Result<Outcome> {
    progress(&format!("Opening the database of {} …", args.place()));
    let store = Store::open(args.settings()).await?;
    let stats = store.stats().await;
    let closed = store.close().await;
    let (stats, ()) = (stats?, closed?);
    say(&format!(
        "The database of {} has the form that watchbell {} uses: {} monitors, {} incidents, {} MiB.\n",
        args.place(),
        env!("CARGO_PKG_VERSION"),
        stats.monitors,
        stats.incidents,
        stats.bytes.div_ceil(1024 * 1024),
    ))?;
    Ok(Outcome::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(data: &std::path::Path) -> StoreArgs {
        StoreArgs { data: data.to_owned(), database: None }
    }

    #[tokio::test]
    async fn a_backup_is_a_whole_database_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let file = folder.path().join("copy.db");
        let backup_args = || BackupArgs { file: file.clone(), store: args(&data) };
        assert_eq!(migrate(args(&data)).await.unwrap(), Outcome::Fine);
        assert_eq!(backup(backup_args()).await.unwrap(), Outcome::Fine);
        assert!(std::fs::read(&file).unwrap().starts_with(b"SQLite format 3"));
        let again = backup(backup_args()).await.unwrap_err().to_string();
        assert!(again.contains("exists; name a new file for the backup"), "{again}");
    }

    #[tokio::test]
    async fn a_newer_database_is_left_alone() {
        let data = tempfile::tempdir().unwrap();
        migrate(args(data.path())).await.unwrap();
        let database = rusqlite::Connection::open(data.path().join("watchbell.db")).unwrap();
        database.pragma_update(None, "user_version", 99).unwrap();
        drop(database);
        let said = super::super::explain(&migrate(args(data.path())).await.unwrap_err());
        assert!(said.contains("was written by a newer Watchbell (its version is 99"), "{said}");
    }

    #[tokio::test]
    async fn a_folder_in_use_or_out_of_reach_is_told_as_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let holder = Store::open(args(&data).settings()).await.unwrap();
        let said = super::super::explain(&migrate(args(&data)).await.unwrap_err());
        assert!(said.contains("is in use by another watchbell (pid "), "{said}");
        holder.close().await.unwrap();

        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let said = super::super::explain(&migrate(args(&file)).await.unwrap_err());
        assert!(said.contains("is not a folder; choose another --data"), "{said}");
    }
}
