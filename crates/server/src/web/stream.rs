//! What browsers see at once: one stream of server-sent events per tab. It carries the parts of the page in view
//! that have changed, made by the same functions as the page, a few times a second at most, and every five seconds
//! a sign of life.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use maud::Markup;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio::time::MissedTickBehavior;

use super::auth::{self, Permission};
use super::error::Failure;
use super::layout::{self, Shell};
use super::reader::Reader;
use super::{Web, assets, filter, pages};
use crate::clock;
use crate::live::{News, Watched};

/// The sign of life. A browser that hears nothing for three of them says that it is not live.
const TICK: Duration = Duration::from_secs(5);
/// Sessions are looked at again after so many ticks, and at once when some have ended.
const TICKS_PER_SESSION_CHECK: u32 = 12;
const TICKS_PER_LOOK: u32 = 6;
/// Between two updates of one browser. The longer making one takes, the longer it waits, up to the second.
const GAP: Duration = Duration::from_millis(200);
const LONGEST_GAP: Duration = Duration::from_millis(800);
/// Open streams in all, and from one address.
const MOST: usize = 2000;
const MOST_OF_ONE: usize = 32;
/// Views whose fragments are kept, so that ten browsers on one page cost one rendering.
const MOST_VIEWS: usize = 256;

/// A part of a page that is replaced as a whole, by the id of its element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub id: String,
    pub html: String,
    /// For a list: its rows. While their order stays, only those that changed are sent.
    pub rows: Vec<(String, String)>,
}

impl Fragment {
    pub(crate) fn new(id: impl Into<String>, html: Markup) -> Self {
        Self { id: id.into(), html: html.into_string(), rows: Vec::new() }
    }
}

/// What a page shows at the moment, and how its title begins.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub title: String,
    pub fragments: Vec<Fragment>,
}

/// What a browser looks at: the same words that stand in the page's address.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(crate) struct Asked {
    /// `overview`, `monitor`, …; empty for the frame alone.
    #[serde(default)]
    of: String,
    /// The page's title, for pages that show only the frame live.
    #[serde(default)]
    title: String,
    #[serde(default)]
    slug: String,
    #[serde(default)]
    window: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    show: String,
    /// The revision that the page was made at.
    #[serde(default)]
    rev: String,
    /// One event only: a tab that nobody looks at asks now and then.
    #[serde(default)]
    once: String,
}

/// Open streams, and what was rendered for them last.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<IpAddr, usize>>,
    views: Mutex<HashMap<u64, (u64, Arc<View>)>>,
}

/// One open stream; leaving is dropping it.
struct Place {
    web: Web,
    address: IpAddr,
}

impl Streams {
    fn enter(web: &Web, address: IpAddr) -> Option<Place> {
        let mut open = web.streams().open.lock();
        let own = open.get(&address).copied().unwrap_or(0);
        if open.values().sum::<usize>() >= MOST || (own >= MOST_OF_ONE && !address.is_loopback()) {
            return None;
        }
        open.insert(address, own + 1);
        Some(Place { web: web.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.web.streams().open.lock();
        if let Some(own) = open.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// `GET /live?of=…`
pub(crate) async fn live(
    State(web): State<Web>,
    reader: Reader,
    Query(asked): Query<Asked>,
    Query(filter): Query<filter::Asked>,
    request: Request,
) -> Response {
    let address = auth::address(request.headers(), request.extensions());
    let Some(place) = Streams::enter(&web, address) else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")], "too many open pages\n")
            .into_response();
    };
    let seen =
        request.headers().get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or(&asked.rev).parse().ok();
    let listener = Listener {
        news: web.app().live.subscribe(),
        sessions: web.sessions().listen(),
        headers: request.headers().clone(),
        ticks: 0,
        ticker: {
            let mut ticker = tokio::time::interval(TICK);
            ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticker
        },
        gap: Duration::ZERO,
        rendered: clock::monotonic(),
        known: HashMap::new(),
        seen,
        first: true,
        ended: false,
        reader,
        asked,
        filter,
        web,
        _place: place,
    };
    let mut answer = Sse::new(events(listener)).into_response();
    // A proxy that collects an answer before passing it on would make it worthless.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

struct Listener {
    web: Web,
    reader: Reader,
    asked: Asked,
    filter: filter::Asked,
    news: broadcast::Receiver<News>,
    sessions: watch::Receiver<u64>,
    /// To find the caller again.
    headers: HeaderMap,
    ticker: tokio::time::Interval,
    ticks: u32,
    gap: Duration,
    /// When the last update was made.
    rendered: Instant,
    /// What the browser has: digests by id, and of the order of each list.
    known: HashMap<String, u64>,
    /// The revision of what the browser shows.
    seen: Option<u64>,
    first: bool,
    ended: bool,
    _place: Place,
}

fn events(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        if self.first {
            self.first = false;
            self.ended = !self.asked.once.is_empty();
            let revision = self.web.app().live.revision();
            let current = self.seen == Some(revision);
            let parts = self.changes(true).await;
            // What the page brought along need not be sent again.
            return Some(if current { self.tick() } else { parts.unwrap_or_else(|| self.tick()) });
        }
        loop {
            tokio::select! {
                _ = self.ticker.tick() => {
                    self.ticks += 1;
                    if self.ticks.is_multiple_of(TICKS_PER_SESSION_CHECK) && !self.is_still_welcome().await {
                        return Some(self.farewell());
                    }
                    // Words like "for 14 min" grow old though nothing happens.
                    if self.ticks.is_multiple_of(TICKS_PER_LOOK) && let Some(event) = self.changes(true).await {
                        return Some(event);
                    }
                    return Some(self.tick());
                }
                _ = self.sessions.changed() => {
                    if !self.is_still_welcome().await {
                        return Some(self.farewell());
                    }
                }
                news = self.news.recv() => {
                    if matches!(news, Err(broadcast::error::RecvError::Closed)) {
                        return None;
                    }
                    // Who fell behind has missed something, which may have been anything.
                    let mut concerned = news.as_ref().map_or(true, |news| self.is_concerned(news));
                    // Nobody sees more than a few changes a second; what comes meanwhile comes along.
                    tokio::time::sleep(self.gap.saturating_sub(clock::monotonic().saturating_duration_since(self.rendered))).await;
                    while let Ok(more) = self.news.try_recv() {
                        concerned |= self.is_concerned(&more);
                    }
                    if let Some(event) = self.changes(concerned).await {
                        return Some(event);
                    }
                }
            }
        }
    }

    fn tick(&self) -> Event {
        Event::default().event("tick").data(self.web.app().clock.now().as_millis().to_string())
    }

    fn farewell(&mut self) -> Event {
        self.ended = true;
        Event::default().event("gone").data("signed out")
    }

    async fn is_still_welcome(&self) -> bool {
        match auth::identify(&self.web, &self.headers, &Extensions::new()).await {
            Ok(caller) => caller.may(Permission::Viewer),
            // Nobody is sent away because the store is.
            Err(Failure::Store { .. }) => true,
            Err(_) => false,
        }
    }

    /// Whether the page in view shows what is news; the frame around it shows everything.
    fn is_concerned(&self, news: &News) -> bool {
        match news {
            News::Monitors(slugs) if self.asked.of == "monitor" => {
                slugs.iter().any(|slug| slug.as_str() == self.asked.slug)
            }
            News::Monitors(_) => !matches!(self.asked.of.as_str(), "deliveries" | "problems"),
            News::Configuration | News::Deliveries => true,
        }
    }

    /// What has changed since the last call, as an event; `None` if nothing has. Without `whole`, of the frame alone.
    async fn changes(&mut self, whole: bool) -> Option<Event> {
        let begun = clock::monotonic();
        let revision = self.web.app().live.revision();
        self.reader.calendar.now = self.web.app().clock.now();
        let view = match self.view(revision, whole).await {
            Ok(view) => view,
            Err(_) => return None,
        };
        self.rendered = clock::monotonic();
        let cost = self.rendered.saturating_duration_since(begun);
        self.gap = (cost * 4).clamp(GAP, LONGEST_GAP);
        let mut parts: Vec<(&str, &str)> = Vec::new();
        let mut lists: Vec<&str> = Vec::new();
        for fragment in &view.fragments {
            if fragment.rows.is_empty() {
                if self.is_new(&fragment.id, &fragment.html) {
                    parts.push((&fragment.id, &fragment.html));
                }
                continue;
            }
            let order: Vec<&str> = fragment.rows.iter().map(|(id, _)| id.as_str()).collect();
            let moved = self.is_new(&fragment.id, &order);
            let changed: Vec<_> = fragment.rows.iter().filter(|(id, html)| self.is_new(id, html)).collect();
            if moved {
                parts.push((&fragment.id, &fragment.html));
                lists.push(&fragment.id);
            } else {
                parts.extend(changed.into_iter().map(|(id, html)| (id.as_str(), html.as_str())));
            }
        }
        let titled = !view.title.is_empty() && self.is_new("title", &view.title);
        if parts.is_empty() && !titled {
            return None;
        }
        let data = serde_json::json!({
            "now": self.reader.now().as_millis(),
            "title": (!view.title.is_empty()).then_some(view.title.as_str()),
            "icon": view.fragments.iter().find(|it| it.id == "icon").map(|it| it.html.as_str()),
            "parts": parts.iter().filter(|(id, _)| *id != "icon").collect::<Vec<_>>(),
            "lists": lists,
        });
        Some(Event::default().event("parts").id(revision.to_string()).data(data.to_string()))
    }

    fn is_new(&mut self, id: &str, value: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let digest = hasher.finish();
        self.known.insert(id.to_owned(), digest) != Some(digest)
    }

    async fn view(&self, revision: u64, whole: bool) -> Result<Arc<View>, Failure> {
        let key = self.key(whole);
        if let Some((of, view)) = self.web.streams().views.lock().get(&key)
            && *of == revision
        {
            return Ok(Arc::clone(view));
        }
        let view = Arc::new(self.render(whole).await?);
        let mut views = self.web.streams().views.lock();
        if views.len() >= MOST_VIEWS {
            views.retain(|_, (of, _)| *of == revision);
        }
        if views.len() < MOST_VIEWS {
            views.insert(key, (revision, Arc::clone(&view)));
        }
        Ok(view)
    }

    /// Everything that what is rendered depends on, besides the moment.
    fn key(&self, whole: bool) -> u64 {
        let mut hasher = DefaultHasher::new();
        whole.hash(&mut hasher);
        let asked = &self.asked;
        (&asked.of, &asked.title, &asked.slug, &asked.window, &asked.id, &asked.show).hash(&mut hasher);
        self.filter.query(|_| ()).hash(&mut hasher);
        (self.reader.calendar.zone.iana_name(), self.reader.is_editor(), self.reader.caller.name()).hash(&mut hasher);
        (self.reader.now().as_secs() / 30).hash(&mut hasher);
        hasher.finish()
    }

    async fn render(&self, whole: bool) -> Result<View, Failure> {
        let (web, reader, asked) = (&self.web, &self.reader, &self.asked);
        let monitors: Vec<Watched> = web.app().live.monitors();
        let shell = Shell::load(web, &monitors, reader).await;
        let mut view = match asked.of.as_str() {
            _ if !whole => View { title: String::new(), fragments: Vec::new() },
            "overview" => pages::overview::view(web, reader, &self.filter, &monitors, &shell).await?,
            "monitor" => pages::monitor::view(web, reader, &asked.slug, &asked.window).await?,
            "heartbeats" => pages::heartbeats::view(web, reader),
            "incidents" => pages::incidents::view(web, reader, &asked.show).await?,
            "incident" => pages::incident::view(web, reader, &asked.id).await?,
            "alerting" => pages::alerting::view(web, reader, &shell).await?,
            "deliveries" => pages::deliveries::view(web, reader, &asked.show).await?,
            "problems" => pages::problems::view(web, reader),
            _ => View { title: asked.title.clone(), fragments: Vec::new() },
        };
        if !view.title.is_empty() {
            view.title = layout::titled(&shell.summary, &view.title);
        }
        view.fragments.extend(shell.fragments());
        let icon = assets::address(&format!("favicon-{}.svg", layout::favicon(&shell.summary)));
        view.fragments.push(Fragment { id: "icon".into(), html: icon.into(), rows: Vec::new() });
        Ok(view)
    }
}
