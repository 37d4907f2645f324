//! Applies a changed configuration without a restart. A bad edit leaves the last good one in force.
//!
//! Folders are watched, not files: editors and Kubernetes replace files instead of writing into them. A look every
//! few seconds backs that up, for file systems that tell nothing. SIGHUP reads again at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use url::Url;
use watchbell_core::Timestamp;

use super::complain::ConfigError;
use super::load::{Loaded, files, load};
use crate::app::{App, Problem, Source};
use crate::cli;
use crate::live::{News, Origin};

/// An edit is over when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(300);
/// Where nobody tells us of changes we find them this late. It costs one look at each file.
const LOOK: Duration = Duration::from_secs(10);

/// Watching; it ends when this is dropped.
pub(crate) struct Reload(JoinHandle<()>);

impl Drop for Reload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Watches the configuration of a running server. Without a configuration there is nothing to watch.
pub(crate) fn start(
    config: Option<PathBuf>,
    app: Arc<App>,
    address: SocketAddr,
    base_url: Option<Url>,
) -> Option<Reload> {
    let path = config?;
    let mut egress = None;
    let applied = move |outcome: Result<Loaded, Vec<ConfigError>>| {
        // The first reading only makes sure that nothing changed while the server started.
        let first = egress.is_none();
        let at_start = egress.get_or_insert_with(|| outcome.as_ref().ok().map(|loaded| loaded.file.egress.clone()));
        let restart = matches!((at_start, &outcome), (Some(old), Ok(new)) if *old != new.file.egress);
        let (app, base_url) = (Arc::clone(&app), base_url.clone());
        async move {
            let mut problems = match apply(&app, outcome, base_url, address, first).await {
                Ok(()) => Vec::new(),
                Err(problems) => problems,
            };
            if restart {
                problems.push(egress_changed(app.clock.now()));
            }
            app.problems.replace(Source::File, problems);
            app.live.publish(News::Configuration);
        }
    };
    Some(Reload(tokio::spawn(watch(path, applied))))
}

fn egress_changed(since: Timestamp) -> Problem {
    Problem {
        place: "egress".into(),
        about: None,
        sentence: "The rule of addresses that may be reached was changed; restart Watchbell.".into(),
        consequence: "Checks and messages follow the old rule until then.".into(),
        since,
    }
}

async fn apply(
    app: &App,
    outcome: Result<Loaded, Vec<ConfigError>>,
    base_url: Option<Url>,
    address: SocketAddr,
    first: bool,
) -> Result<(), Vec<Problem>> {
    let now = app.clock.now();
    let loaded = outcome.map_err(|errors| {
        for error in &errors {
            tracing::error!(place = %error.place(), "the configuration is not applied: {}", error.sentence);
        }
        errors.iter().map(|error| error.problem(now)).collect::<Vec<_>>()
    })?;
    let refused = |why: String| {
        tracing::error!("the configuration is not applied: {why}");
        let consequence = "The file is not applied; the last good configuration stays in force.".into();
        vec![Problem { place: "configuration".into(), about: None, sentence: why, consequence, since: now }]
    };
    if is_truncated(&loaded) && app.live.monitors().iter().any(|it| it.fixed.origin == Origin::File) {
        return Err(refused("The configuration is empty. Write `monitors: {}` if nothing is to be watched.".into()));
    }
    let settings = cli::serve::settings(&loaded, base_url, address, &app.store)
        .await
        .map_err(|why| refused(format!("{why:#}")))?;
    let (monitors, channels) = (loaded.file.monitors.len(), loaded.file.channels.len());
    cli::serve::apply(&app.engine, loaded).await.map_err(|why| refused(why.to_string()))?;
    app.settings.store(Arc::new(settings));
    if first {
        tracing::debug!(monitors, channels, "the configuration is watched for changes");
    } else {
        tracing::info!(monitors, channels, "the changed configuration is applied");
    }
    Ok(())
}

/// Nothing at all is written there: somebody is in the middle of writing it.
fn is_truncated(loaded: &Loaded) -> bool {
    let is_empty = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.trim().is_empty());
    loaded.file.monitors.is_empty() && loaded.read.iter().all(is_empty)
}

/// Calls `changed` with what is read: once at the beginning, each time the files of `path` (or the secrets they name)
/// have changed, and after SIGHUP. Never ends.
async fn watch<F, Done>(path: PathBuf, mut changed: F)
where
    F: FnMut(Result<Loaded, Vec<ConfigError>>) -> Done,
    Done: Future<Output = ()>,
{
    let mut hangup = signal(SignalKind::hangup()).ok();
    let (tell, mut told) = mpsc::channel(1);
    let mut folders = Folders::new(tell);
    let mut read = Vec::new();
    let mut known = Prints::take(&path, &read);
    let mut asked = true;
    loop {
        folders.watch(&known.folders());
        let now = Prints::take(&path, &read);
        if asked || now != known {
            let outcome = load_apart(&path).await;
            if let Ok(loaded) = &outcome {
                read.clone_from(&loaded.read);
            }
            // A file that changed while it was read shall be read again: what was seen before counts.
            known = Prints::take(&path, &read).or_older(&now);
            folders.watch(&known.folders());
            changed(outcome).await;
        }
        asked = tokio::select! {
            () = hung_up(&mut hangup) => true,
            () = settled(&mut told) => false,
            () = tokio::time::sleep(LOOK) => false,
        };
    }
}

async fn load_apart(path: &Path) -> Result<Loaded, Vec<ConfigError>> {
    let path = path.to_owned();
    let loading = tokio::task::spawn_blocking(move || load(&path)).await;
    loading.unwrap_or_else(|panicked| {
        Err(vec![ConfigError::of_file("configuration", format!("Reading it failed: {panicked}. Please report this."))])
    })
}

async fn hung_up(hangup: &mut Option<tokio::signal::unix::Signal>) {
    match hangup {
        Some(hangup) => {
            if hangup.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Waits for a change, and then until nothing has changed for [`QUIET`], or for ten times that in a busy folder.
async fn settled(told: &mut mpsc::Receiver<()>) {
    if told.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
    let busy = tokio::time::sleep(QUIET * 10);
    tokio::pin!(busy);
    loop {
        tokio::select! {
            () = &mut busy => return,
            more = tokio::time::timeout(QUIET, told.recv()) => if more.is_err() { return },
        }
    }
}

/// The folders under watch.
struct Folders {
    watcher: Option<notify::RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    fn new(tell: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Being read is no change, and our own reading would keep us busy for ever.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // One message waiting says enough.
                let _ = tell.try_send(());
            }
        });
        if let Err(why) = &watcher {
            tracing::warn!(%why, "folders cannot be watched; changes of the configuration are looked for every {LOOK:?}");
        }
        Self { watcher: watcher.ok(), watched: BTreeSet::new() }
    }

    fn watch(&mut self, wanted: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(wanted) {
            // It may have been deleted, which ends the watch by itself.
            let _ = watcher.unwatch(gone);
        }
        let mut watched: BTreeSet<PathBuf> = self.watched.intersection(wanted).cloned().collect();
        for folder in wanted.difference(&self.watched) {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(folder.clone());
                }
                Err(why) => tracing::debug!(folder = %folder.display(), %why, "the folder cannot be watched"),
            }
        }
        self.watched = watched;
    }
}

/// What files look like from outside, symbolic links followed: enough to see a change without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Prints(Vec<(PathBuf, Option<Print>)>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    length: u64,
    changed_at: (i64, i64),
}

impl Prints {
    fn take(path: &Path, read: &[PathBuf]) -> Self {
        let mut paths: BTreeSet<PathBuf> = files(path).unwrap_or_default().into_iter().collect();
        paths.insert(path.to_owned());
        paths.extend(read.iter().cloned());
        let print = |path: &Path| {
            let about = std::fs::metadata(path).ok()?;
            // A folder changes with every file beside ours.
            let file = about.is_file();
            Some(Print {
                device: about.dev(),
                inode: about.ino(),
                length: if file { about.len() } else { 0 },
                changed_at: if file { (about.ctime(), about.ctime_nsec()) } else { (0, 0) },
            })
        };
        Self(
            paths
                .into_iter()
                .map(|path| {
                    let print = print(&path);
                    (path, print)
                })
                .collect(),
        )
    }

    /// These, but with what `older` knows: a file that changed while it was read shall be read again.
    fn or_older(self, older: &Self) -> Self {
        let known = |path: &Path| older.0.iter().find(|(old, _)| old == path).map(|(_, print)| print.clone());
        Self(
            self.0
                .into_iter()
                .map(|(path, print)| {
                    let print = known(&path).unwrap_or(print);
                    (path, print)
                })
                .collect(),
        )
    }

    /// Where changes of these files show: their folders, as written and as links lead.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        for (path, _) in &self.0 {
            for path in [Some(path.clone()), path.canonicalize().ok()].into_iter().flatten() {
                let folder = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
                let here = Path::new(".");
                folders.extend(folder.map(|it| if it.as_os_str().is_empty() { here } else { it }.to_owned()));
            }
        }
        folders.retain(|folder| folder.is_dir());
        folders
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    type Outcome = Result<Vec<String>, String>;

    /// Watches `path`; gives the slugs of what was applied, or the first complaint. What is there at first is seen.
    async fn watching(path: PathBuf) -> (mpsc::Receiver<Outcome>, JoinHandle<()>) {
        let (tell, mut told) = mpsc::channel(16);
        let task = tokio::spawn(watch(path, move |outcome| {
            let tell = tell.clone();
            async move {
                let outcome = outcome
                    .map(|loaded| loaded.file.monitors.keys().map(ToString::to_string).collect())
                    .map_err(|errors| errors[0].sentence.clone());
                let _ = tell.send(outcome).await;
            }
        }));
        assert!(next(&mut told).await.is_ok_and(|monitors| monitors == ["a"]));
        (told, task)
    }

    async fn next(told: &mut mpsc::Receiver<Outcome>) -> Outcome {
        tokio::time::timeout(Duration::from_secs(8), told.recv()).await.expect("a change is seen").unwrap()
    }

    async fn nothing(told: &mut mpsc::Receiver<Outcome>) {
        let heard = tokio::time::timeout(Duration::from_millis(900), told.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    fn monitor(slug: &str) -> String {
        format!("monitors: {{{slug}: {{probe: {{tcp: {{address: 'h.example:1'}}}}}}}}\n")
    }

    #[tokio::test]
    async fn edits_replacements_and_mistakes_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.yaml");
        fs::write(&path, monitor("a")).unwrap();
        let (mut told, task) = watching(path.clone()).await;

        // Written in place.
        fs::write(&path, monitor("b")).unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["b".into()]));
        // Replaced by a rename, as editors do.
        let new = folder.path().join(".w.yaml.new");
        fs::write(&new, monitor("c")).unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["c".into()]));
        // A mistake is told, and mended again.
        fs::write(&path, "monitors: [").unwrap();
        assert!(next(&mut told).await.unwrap_err().starts_with("This is not YAML"));
        fs::write(&path, monitor("d")).unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["d".into()]));
        // Gone for a while.
        fs::remove_file(&path).unwrap();
        assert!(next(&mut told).await.unwrap_err().contains("cannot be read"));
        fs::write(&path, monitor("e")).unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["e".into()]));
        // What lies beside it is nobody's business.
        fs::write(folder.path().join("other.txt"), "x").unwrap();
        nothing(&mut told).await;
        task.abort();
    }

    #[tokio::test]
    async fn a_kubernetes_volume_swaps_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let make = |version: &str, slug: &str| {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("w.yaml"), monitor(slug)).unwrap();
        };
        make("..2026_01", "a");
        symlink("..2026_01", folder.path().join("..data")).unwrap();
        symlink("..data/w.yaml", folder.path().join("w.yaml")).unwrap();
        let (mut told, task) = watching(folder.path().join("w.yaml")).await;

        make("..2026_02", "b");
        symlink("..2026_02", folder.path().join("..data_tmp")).unwrap();
        fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
        fs::remove_dir_all(folder.path().join("..2026_01")).unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["b".into()]));
        task.abort();
    }

    #[tokio::test]
    async fn files_of_a_folder_and_secrets_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = tempfile::tempdir().unwrap();
        let token = secrets.path().join("token");
        fs::write(&token, "123:first").unwrap();
        let channel = format!("channels: {{t: {{telegram: {{token: 'file:{}', chat_id: '-1'}}}}}}\n", token.display());
        fs::write(folder.path().join("a.yaml"), channel + &monitor("a")).unwrap();
        let (mut told, task) = watching(folder.path().to_owned()).await;

        fs::write(folder.path().join("b.yml"), monitor("b")).unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["a".into(), "b".into()]));
        fs::write(&token, "123:second").unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["a".into(), "b".into()]), "a new secret is applied");
        fs::remove_file(folder.path().join("b.yml")).unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["a".into()]));
        task.abort();
    }

    #[tokio::test]
    async fn a_busy_folder_does_not_keep_us_from_looking() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.yaml");
        fs::write(&path, monitor("a")).unwrap();
        let (mut told, task) = watching(path.clone()).await;
        let busy = folder.path().join("log");
        let noise = tokio::spawn(async move {
            loop {
                fs::write(&busy, "x").unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        fs::write(&path, monitor("b")).unwrap();
        assert_eq!(next(&mut told).await, Ok(vec!["b".into()]));
        noise.abort();
        task.abort();
    }
}
