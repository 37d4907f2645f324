//! Heartbeats in. 200 means committed; 503 with `Retry-After` means: call again.
//!
//! - `/ping/<ping_id>` and `/ping/<ping_key>/<slug>`, each with `/start`, `/fail`, `/log`, an exit status, or, by POST,
//!   `/pause`, `/resume` and `/snooze?for=2h`: the addresses and answers of Healthchecks, word for word.
//! - `/api/push/<push_token>`: those of Uptime Kuma.
//! - `/api/v1/endpoints/<key>/external`: those of Gatus.
//!
//! What nobody is called is answered alike, whichever part of it is wrong, and only so often for one address.

mod body;
mod gatus;
mod kuma;
mod misses;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use watchbell_core::ping::Call;
use watchbell_core::{RunId, Slug, Span};

use super::Web;
use super::auth::address;
use crate::app::App;
use crate::config::spec::{HeartbeatSpec, MonitorSpec};
use crate::engine::{Called, Make, Refused};
use crate::live::Watched;
use body::Kept;
pub(crate) use gatus::external;
pub(crate) use kuma::push;
pub(crate) use misses::Misses;

/// Of what a sender calls itself.
const LONGEST_AGENT: usize = 200;
/// Nobody needs quiet for longer.
const LONGEST_SNOOZE: Span = Span::secs(90 * 86_400);

/// Parameters behind the question mark; others are overlooked.
#[derive(Default, serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    rid: Option<String>,
    #[serde(default)]
    create: Option<String>,
    #[serde(default, rename = "for")]
    length: Option<String>,
}

/// `/ping/{ping_id}`
pub(crate) async fn by_id(
    State(web): State<Web>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Response {
    by_id_with(&web, &id, "", &asked, request).await
}

/// `/ping/{first}/{second}`: an id with a suffix, or the ping key with a slug.
pub(crate) async fn by_two(
    State(web): State<Web>,
    Path((first, second)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Response {
    if canonical(&first).is_some() {
        by_id_with(&web, &first, &second, &asked, request).await
    } else {
        by_slug_with(&web, &first, &second, "", &asked, request).await
    }
}

/// `/ping/{ping_key}/{slug}/{suffix}`
pub(crate) async fn by_three(
    State(web): State<Web>,
    Path((key, slug, suffix)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Response {
    by_slug_with(&web, &key, &slug, &suffix, &asked, request).await
}

async fn by_id_with(web: &Web, id: &str, suffix: &str, asked: &Asked, request: Request) -> Response {
    let Some(meant) = Meant::read(suffix) else { return invalid("invalid url format") };
    match canonical(id).and_then(|id| web.app().live.by_ping_id(id)) {
        Some(monitor) => act(web, &monitor, meant, asked, request, "OK").await,
        None => nobody(web, &request),
    }
}

async fn by_slug_with(web: &Web, key: &str, slug: &str, suffix: &str, asked: &Asked, request: Request) -> Response {
    let Some(meant) = Meant::read(suffix) else { return invalid("invalid url format") };
    if slug.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return invalid("invalid url format");
    }
    let app = web.app();
    if !bool::from(app.settings.load().ping_key.expose().as_bytes().ct_eq(key.as_bytes())) {
        return nobody(web, &request);
    }
    match app.live.get(slug) {
        Some(monitor) if monitor.fixed.spec.heartbeat.is_some() => {
            act(web, &monitor, meant, asked, request, "OK").await
        }
        None if asked.create.as_deref() == Some("1") => match create(app, slug).await {
            Ok(Some(monitor)) => act(web, &monitor, meant, asked, request, "Created").await,
            Ok(None) => nobody(web, &request),
            Err(answer) => answer,
        },
        _ => nobody(web, &request),
    }
}

/// Makes a heartbeat as Healthchecks does for `create=1`: once a day, an hour's grace, told to everybody.
async fn create(app: &App, slug: &str) -> Result<Option<Watched>, Response> {
    let Ok(slug) = slug.parse::<Slug>() else { return Err(invalid("invalid url format")) };
    let everybody = app
        .settings
        .load()
        .defaults
        .notify
        .is_none()
        .then(|| app.live.channels().into_iter().map(|channel| channel.slug).collect());
    let beat =
        HeartbeatSpec { interval: Some(Span::secs(86_400)), grace: Some(Span::secs(3600)), ..HeartbeatSpec::default() };
    let spec = MonitorSpec { heartbeat: Some(beat), notify: everybody, ..MonitorSpec::default() };
    match app.engine.put_monitor(slug.clone(), spec, Make::New).await {
        // Somebody else was quicker: then it is there now.
        Ok(()) | Err(Refused::Exists(_)) => {
            Ok(app.live.get(slug.as_str()).filter(|it| it.fixed.spec.heartbeat.is_some()))
        }
        Err(_) => Err(again()),
    }
}

/// What the end of the address asks for.
#[derive(Clone, Copy)]
enum Meant {
    Ping(Call),
    Pause,
    Resume,
    Snooze,
}

impl Meant {
    fn read(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "" => Self::Ping(Call::Success),
            "start" => Self::Ping(Call::Start),
            "fail" => Self::Ping(Call::Fail),
            "log" => Self::Ping(Call::Log),
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "snooze" => Self::Snooze,
            status if status.bytes().all(|byte| byte.is_ascii_digit()) => Self::Ping(Call::Exit(status.parse().ok()?)),
            _ => return None,
        })
    }
}

async fn act(
    web: &Web,
    monitor: &Watched,
    meant: Meant,
    asked: &Asked,
    request: Request,
    done: &'static str,
) -> Response {
    let slug = || monitor.fixed.slug.clone();
    let engine = &web.app().engine;
    let call = match meant {
        Meant::Ping(call) => call,
        // Whoever shows a link fetches it first, and must not silence anybody by that.
        Meant::Pause | Meant::Resume | Meant::Snooze if request.method() != Method::POST => {
            let mut answer = answer(StatusCode::METHOD_NOT_ALLOWED, "use POST");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return answer;
        }
        Meant::Pause => return done_or_again(&engine.pause(slug()).await),
        Meant::Resume => return done_or_again(&engine.resume(slug()).await),
        Meant::Snooze => {
            let length = asked.length.as_deref().map_or(Ok(Span::secs(3600)), str::parse::<Span>);
            let Some(length) = length.ok().filter(|length| *length <= LONGEST_SNOOZE) else {
                return invalid("invalid length of time, write it like for=2h, at most 90d");
            };
            return done_or_again(&engine.snooze(slug(), web.app().clock.now() + length.0).await);
        }
    };
    let run = match asked.rid.as_deref().map(str::parse::<RunId>) {
        None => None,
        Some(Ok(run)) => Some(run),
        Some(Err(_)) => return invalid("invalid uuid format"),
    };
    let limit = web.app().settings.load().retention.ping_body;
    let answered = match heard(web, monitor, call, request, |called| called.run = run).await {
        Ok(()) if done == "Created" => answer(StatusCode::CREATED, done),
        Ok(()) => answer(StatusCode::OK, done),
        Err(answer) => return answer,
    };
    limited(answered, limit)
}

/// Reads the body, hands the call over, and waits until it is committed.
async fn heard(
    web: &Web,
    monitor: &Watched,
    call: Call,
    request: Request,
    more: impl FnOnce(&mut Called),
) -> Result<(), Response> {
    let app = web.app();
    let limit = app.settings.load().retention.ping_body as usize;
    let (parts, body) = request.into_parts();
    let Ok(kept) = Kept::read(body, limit).await else { return Err(invalid("the body broke off")) };
    let signal = monitor.fixed.policy.heartbeat.as_ref().map_or(watchbell_core::decide::Signal::Log, |expectation| {
        expectation.hearing.signal(call, &kept.searchable())
    });
    let agent = parts.headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut called = Box::new(Called::new(monitor.fixed.id, app.clock.now(), signal));
    called.exit_status = if let Call::Exit(status) = call { Some(status) } else { None };
    called.agent = agent.map_or_else(String::new, |agent| watchbell_core::finding::clean(&agent, LONGEST_AGENT));
    called.method = parts.method.as_str().to_owned();
    called.address = address(&parts.headers, &parts.extensions).to_string();
    called.last_line = kept.last_line();
    called.size = kept.size;
    (called.head, called.tail) = (kept.head, kept.tail);
    more(&mut called);
    match app.engine.ping(called).await {
        Ok(()) => Ok(()),
        Err(Refused::NoMonitor(_)) => Err(answer(StatusCode::NOT_FOUND, "not found")),
        Err(_) => Err(again()),
    }
}

/// A UUID in the form people write it in; upper case will do.
fn canonical(text: &str) -> Option<uuid::Uuid> {
    (text.len() == 36).then(|| uuid::Uuid::try_parse(text).ok()).flatten()
}

/// Nobody is called like this. Whoever guesses is slowed down.
fn nobody(web: &Web, request: &Request) -> Response {
    if may_miss(web, request) { answer(StatusCode::NOT_FOUND, "not found") } else { too_often() }
}

/// Notes that an address asked for what is not there. `false`: it has done so too often.
fn may_miss(web: &Web, request: &Request) -> bool {
    let from = address(request.headers(), request.extensions());
    web.misses().may(from, web.app().clock.now())
}

fn too_often() -> Response {
    let mut answer = answer(StatusCode::TOO_MANY_REQUESTS, "too many unknown addresses");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    answer
}

fn invalid(text: &'static str) -> Response {
    answer(StatusCode::BAD_REQUEST, text)
}

fn done_or_again(done: &Result<(), Refused>) -> Response {
    match done {
        Ok(()) => answer(StatusCode::OK, "OK"),
        Err(Refused::NoMonitor(_)) => answer(StatusCode::NOT_FOUND, "not found"),
        Err(_) => again(),
    }
}

fn answer(status: StatusCode, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=0, no-cache, no-store, must-revalidate, private")),
    ];
    (status, headers, text).into_response()
}

/// Clients such as runitor send no more than this.
fn limited(mut answer: Response, limit: u32) -> Response {
    answer.headers_mut().insert("ping-body-limit", HeaderValue::from(limit));
    answer
}

fn again() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], "not committed, call again\n").into_response()
}
