//! `watchbell serve`: opens the store, builds all parts from the configuration, and runs until it is told to stop.
//! The only place that knows all parts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;
use watchbell_core::{Secret, Timestamp};
use watchbell_net::{Net, NetSettings};
use watchbell_notify::Sender;
use watchbell_store::{Keep, Lease, Store};

use super::ServeArgs;
use crate::app::{App, Settings};
use crate::clock::Clock;
use crate::config::{self, Loaded};
use crate::engine::deliver::Deliverer;
use crate::engine::{self, FromFile, Handle, Parts};
use crate::live::Live;
use crate::seal::Seal;
use crate::telemetry::{self, Own};
use crate::web::Setup;
use crate::{process, random, web};

/// `alive` is stamped, the lease renewed and the service manager told this often.
const BEAT: Duration = Duration::from_secs(5);
/// Old results are moved into blocks, and what is past its time is dropped, this often.
const UPKEEP: Duration = Duration::from_secs(300);
/// Requests under way when we stop may finish for so long.
const FAREWELL: Duration = Duration::from_secs(5);
/// A second node looks this often whether the first is still there.
const STAND_BY: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    telemetry::start_logging(args.log_format, &args.log_level)?;
    let loaded = config::load_or_empty(args.config.as_deref())?;
    let listener = process::listen(args.listen).await?;
    let address = listener.local_addr().context("the listening address is not known")?;

    let store = Store::open(args.store.settings()).await?;
    let seal = Arc::new(Seal::open(&args.store.data)?);
    let node = process::Node::open(&args.store.data)?;
    process::survive_hangup();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(process::stop_on_signal(stop.clone()));
    let Some(lease) = stand_by(&store, &node.name, &listener, stopped.clone()).await? else {
        store.close().await?;
        return Ok(());
    };

    let served =
        serve(&args, loaded, &listener, address, &store, seal, node.name.clone(), lease.clone(), stop, stopped).await;
    // Whoever waits for the lease need not wait for it to run out.
    let leaving = async {
        let _ = store.release_lease(&lease).await;
        store.close().await
    };
    match tokio::time::timeout(FAREWELL, leaving).await {
        Ok(closed) => served.and(closed.map_err(Into::into)),
        Err(_) => served.and(Err(anyhow::anyhow!("the database did not answer when it was to be closed"))),
    }
}

/// Waits until the monitors are ours to watch. `None`: we were told to stop first.
async fn stand_by(
    store: &Store,
    node: &str,
    listener: &TcpListener,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Option<Lease>> {
    if let Some(lease) = store.acquire_lease(node).await? {
        return Ok(Some(lease));
    }
    let holder = store.lease_holder().await?.map(|holder| holder.node).unwrap_or_default();
    tracing::info!(%holder, "another node watches the monitors; standing by to take over");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let waiting = async {
        loop {
            tokio::time::sleep(STAND_BY).await;
            match store.acquire_lease(node).await {
                Ok(Some(lease)) => return lease,
                Ok(None) => {}
                Err(why) => tracing::warn!(%why, "whether the other node is there could not be asked"),
            }
        }
    };
    // Whoever asks meanwhile is told so, instead of waiting for an answer that does not come.
    tokio::select! {
        lease = waiting => Ok(Some(lease)),
        served = web::serve::serve(listener, web::serve::standing_by(), stopped.clone()) => served.map(|()| None).map_err(Into::into),
        _ = stopped.changed() => Ok(None),
    }
}

#[expect(clippy::too_many_arguments, reason = "the one place that is given everything")]
async fn serve(
    args: &ServeArgs,
    loaded: Loaded,
    listener: &TcpListener,
    address: SocketAddr,
    store: &Store,
    seal: Arc<Seal>,
    node: String,
    lease: Lease,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let clock = Arc::new(Clock::start());
    let live = Arc::new(Live::new());
    let own = Arc::new(Own::default());
    let problems = Arc::default();
    let net = Net::new(NetSettings { egress: loaded.file.egress.clone(), nameservers: Vec::new() })?;
    let sender = Arc::new(Sender::new(net.clone(), args.telegram_api.clone()));
    let settings = Arc::new(ArcSwap::from_pointee(settings(&loaded, args.base_url.clone(), address, store).await?));
    // The engine goes on until requests under way have had their answers.
    let (stop_engine, engine_stopped) = watch::channel(false);
    let mut giving_up = stopped.clone();
    let starting = engine::start(
        Parts {
            store: store.clone(),
            lease: lease.clone(),
            live: Arc::clone(&live),
            clock: Arc::clone(&clock),
            net: net.clone(),
            own: Arc::clone(&own),
            seal: Arc::clone(&seal),
            settings: Arc::clone(&settings),
            problems: Arc::clone(&problems),
            concurrency: process::concurrency(),
            file: from_file(loaded),
        },
        engine_stopped,
    );
    // A store that is away must not keep us from being stopped.
    let running = tokio::select! {
        started = starting => started?,
        _ = giving_up.changed() => return Ok(()),
    };
    store.release_claims(&node).await?;
    let deliverer = Deliverer {
        store: store.clone(),
        sender: Arc::clone(&sender),
        live: Arc::clone(&live),
        clock: Arc::clone(&clock),
        own: Arc::clone(&own),
        settings: Arc::clone(&settings),
        ring: Arc::clone(&running.deliver),
        node,
    };
    let mut delivering = tokio::spawn(deliverer.run(stopped.clone()));
    let app = Arc::new(App {
        store: store.clone(),
        engine: running.handle.clone(),
        live,
        net,
        sender,
        clock: Arc::clone(&clock),
        settings: Arc::clone(&settings),
        problems,
        started_at: clock.now(),
        own,
        deliver: running.deliver,
    });
    let mut upkeep = tokio::spawn(upkeep(Arc::clone(&app), lease, stop.clone()));
    let keeping = tokio::spawn(keep_house(Arc::clone(&app)));
    let reload = config::reload::start(args.config.clone(), Arc::clone(&app), address, args.base_url.clone());

    let setup = setup_link(&app).await?;
    let router = web::router(Arc::clone(&app), Setup::new(setup.as_deref()));
    let serving = web::serve::serve(listener, router, stopped.clone());
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "watching");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let mut engine_task = running.task;
    let mut engine_ended = None;
    let mut lost = None;
    tokio::pin!(serving);
    let mut is_serving = true;
    // None of these ends by itself while all is well.
    tokio::select! {
        served = &mut serving => {
            is_serving = false;
            served.context("the web server ended")?;
        }
        ended = &mut engine_task => engine_ended = Some(ended),
        ended = &mut delivering => if !*stopped.borrow() { lost = Some(("delivering", ended)) },
        ended = &mut upkeep => if !*stopped.borrow() { lost = Some(("upkeep", ended)) },
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let _ = stop.send(true);
    // Whoever is still asking gets an answer, and what they asked for is decided before the engine stops.
    if is_serving {
        let _ = tokio::time::timeout(FAREWELL, &mut serving).await;
    }
    let _ = stop_engine.send(true);
    if engine_ended.is_none() {
        let finishing = tokio::time::timeout(FAREWELL, &mut engine_task).await;
        engine_ended = finishing.ok();
    }
    if !delivering.is_finished() {
        let _ = tokio::time::timeout(FAREWELL, delivering).await;
    }
    drop(reload);
    upkeep.abort();
    keeping.abort();
    let _ = tokio::time::timeout(FAREWELL, store.alive(clock.now())).await;
    if let Some((what, ended)) = lost {
        let why = ended.err().map(|why| why.to_string()).unwrap_or_default();
        return Err(anyhow::anyhow!("{what} ended by itself: {why}"));
    }
    match engine_ended {
        Some(Ok(Err(why))) => Err(why.into()),
        Some(Err(panicked)) => Err(anyhow::anyhow!("the engine failed: {panicked}")),
        Some(Ok(Ok(()))) => Ok(()),
        None => Err(anyhow::anyhow!("the last results could not be stored before stopping")),
    }
}

/// What of the file is neither monitor nor channel, with what must be there made up once and kept.
pub(crate) async fn settings(
    loaded: &Loaded,
    base_url: Option<Url>,
    address: SocketAddr,
    store: &Store,
) -> anyhow::Result<Settings> {
    let ping_key = match &loaded.file.ping_key {
        Some(key) => key.clone(),
        None => match store.setting("ping_key").await? {
            Some(key) => Secret::new(key),
            None => {
                let key = random::letters(22);
                store.put_setting("ping_key", &key).await?;
                Secret::new(key)
            }
        },
    };
    let base_url = base_url.or_else(|| loaded.file.base_url.clone()).unwrap_or_else(|| guessed_url(address));
    Ok(Settings {
        base_url,
        ping_key,
        defaults: loaded.file.defaults.clone(),
        fallback: loaded.file.fallback.clone(),
        retention: loaded.file.retention.clone(),
    })
}

fn guessed_url(address: SocketAddr) -> Url {
    let host = if address.ip().is_unspecified() {
        "localhost".to_owned()
    } else {
        match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        }
    };
    Url::parse(&format!("http://{host}:{}/", address.port())).expect("an address makes a URL")
}

/// What the engine is to be told of the file.
fn from_file(Loaded { file, .. }: Loaded) -> FromFile {
    FromFile { monitors: file.monitors, channels: file.channels, defaults: file.defaults }
}

/// While nobody may sign in yet: prints the link that makes the first person, and returns its token.
async fn setup_link(app: &App) -> anyhow::Result<Option<String>> {
    if !app.store.persons().await?.is_empty() {
        return Ok(None);
    }
    let token = random::token();
    let link = Setup::link(&app.settings.load().base_url, &token);
    println!("\n  Watchbell is running. Open this link once to set it up:\n\n    {link}\n");
    Ok(Some(token))
}

/// What is done every few seconds and minutes, whatever happens.
async fn upkeep(app: Arc<App>, lease: Lease, stop: watch::Sender<bool>) {
    let mut beat = tokio::time::interval(BEAT);
    loop {
        beat.tick().await;
        let now = app.clock.now();
        match app.store.renew_lease(&lease).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!("another node has taken over the monitors; stopping");
                let _ = stop.send(true);
                return;
            }
            Err(why) => tracing::warn!(%why, "the lease could not be renewed"),
        }
        if let Err(why) = app.store.alive(now).await {
            tracing::warn!(%why, "the sign of life could not be stored");
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// Moves old results into blocks and drops what is past its time. In a task of its own: the lease does not wait for it.
async fn keep_house(app: Arc<App>) {
    const DAY: Duration = Duration::from_secs(86_400);
    const HOUR_MS: i64 = 3_600_000;
    let keep = Keep { deliveries: 90 * DAY, audit: 400 * DAY, gaps: 400 * DAY };
    let mut due = tokio::time::interval(UPKEEP);
    loop {
        due.tick().await;
        let now = app.clock.now();
        let this_hour = Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(HOUR_MS));
        let retention = app.settings.load().retention.results.0;
        let outcomes = [
            app.store.compact(this_hour).await.map(drop),
            app.store.drop_results(now - retention).await.map(drop),
            app.store.tidy(now, &keep).await.map(drop),
        ];
        for why in outcomes.into_iter().filter_map(Result::err) {
            tracing::warn!(%why, "upkeep of the database failed; it is tried again in a few minutes");
        }
    }
}

/// For reloading: hands a changed file to the engine.
pub(crate) async fn apply(handle: &Handle, loaded: Loaded) -> Result<(), engine::Refused> {
    handle.apply_file(from_file(loaded)).await
}
