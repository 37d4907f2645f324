//! `/api/v1/monitors`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use watchbell_core::decide::Sight;
use watchbell_core::{Evidence, Finding, Outcome, Phases, Reason, Slug, Timestamp, catalog};

use super::input::{Body, BodyIfAny, Query, parse, slug};
use super::problem::Problem;
use crate::config::spec::MonitorSpec;
use crate::engine::{Make, Refused};
use crate::live::{Acknowledged, Origin, Shown, Watched};
use crate::seal::schemas;
use crate::web::Web;
use crate::web::auth::Caller;

type Answer<T> = std::result::Result<T, Problem>;

/// One monitor: its settings and how it is.
#[derive(Serialize, JsonSchema)]
pub(super) struct Monitor {
    slug: Slug,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    tags: Vec<String>,
    /// `http`, `tcp`, …, or `heartbeat`.
    kind: &'static str,
    /// What is asked, without credentials.
    target: String,
    origin: Origin,
    state: Shown,
    since: Timestamp,
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Result>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_check: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<Open>,
    /// As written; secrets show as `•••`, and `•••` sent back keeps what is there.
    settings: Value,
}

/// The open incident of a monitor.
#[derive(Serialize, JsonSchema)]
struct Open {
    id: String,
    since: Timestamp,
    reason: Reason,
    told: Vec<Slug>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<Acknowledged>,
}

/// One check.
#[derive(Serialize, JsonSchema)]
pub(super) struct Result {
    at: Timestamp,
    /// `ok`, `slow`, `fail`, `local` (we could not ask) or `missed`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    took_us: u64,
    phases: Phases,
}

impl Result {
    pub(super) fn new(at: Timestamp, sight: &Sight, took_us: u64, phases: Phases) -> Self {
        let (outcome, reason) = match sight {
            Sight::Ok => ("ok", None),
            Sight::Slow(reason) => ("slow", Some(reason)),
            Sight::Fail(reason) => ("fail", Some(reason)),
            Sight::Local(reason) => ("local", Some(reason)),
            Sight::Missed(reason) => ("missed", Some(reason)),
        };
        Self { at, outcome, reason: reason.cloned(), took_us, phases }
    }
}

impl Monitor {
    fn new(watched: &Watched) -> Self {
        let fixed = &watched.fixed;
        let mut settings = serde_json::to_value(&fixed.spec).unwrap_or_default();
        catalog::redact(&schemas::MONITOR, &mut settings);
        let state = &watched.state;
        Self {
            slug: fixed.slug.clone(),
            name: fixed.title().to_owned(),
            group: fixed.spec.group.clone(),
            tags: fixed.spec.tags.clone(),
            kind: fixed.spec.kind(),
            target: fixed.spec.target(),
            origin: fixed.origin,
            state: watched.shown(),
            since: state.since,
            paused: state.paused,
            last: watched.last.as_ref().map(|seen| {
                Result::new(seen.at, &seen.sight, u64::try_from(seen.took.as_micros()).unwrap_or(u64::MAX), seen.phases)
            }),
            next_check: watched.next_check,
            certificate_expires_at: watched.last_ok.as_ref().and_then(|seen| seen.expires_at),
            incident: state.incident.as_ref().map(|incident| Open {
                id: format!("{}-{}", fixed.id, incident.seq),
                since: incident.since,
                reason: incident.reason.clone(),
                told: incident.told.clone(),
                acknowledged: watched.acknowledged.as_deref().cloned().filter(|_| incident.acknowledged),
            }),
            settings,
        }
    }
}

/// Which monitors to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Words that name, slug, target or a tag must hold.
    #[serde(default)]
    q: Option<String>,
    #[serde(default)]
    state: Option<Shown>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    tag: Option<String>,
    /// The slug after which to go on: `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// At most so many; 100 unless set, 1000 at most.
    #[serde(default)]
    limit: Option<usize>,
}

/// A page of monitors, by slug.
#[derive(Serialize, JsonSchema)]
pub(super) struct List {
    items: Vec<Monitor>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Slug>,
}

pub(super) async fn list(State(web): State<Web>, Query(filter): Query<Filter>) -> Answer<Json<List>> {
    let limit = filter.limit.unwrap_or(100).clamp(1, 1000);
    let words: Vec<String> = filter.q.iter().flat_map(|q| q.split_whitespace()).map(str::to_lowercase).collect();
    let mut found: Vec<Watched> = web
        .app()
        .live
        .monitors()
        .into_iter()
        .filter(|it| filter.after.as_deref().is_none_or(|after| it.fixed.slug.as_str() > after))
        .filter(|it| filter.state.is_none_or(|state| it.shown() == state))
        .filter(|it| filter.group.is_none() || it.fixed.spec.group == filter.group)
        .filter(|it| filter.tag.as_ref().is_none_or(|tag| it.fixed.spec.tags.contains(tag)))
        .filter(|it| words.is_empty() || holds(it, &words))
        .take(limit + 1)
        .collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.fixed.slug.clone());
    Ok(Json(List { items: found.iter().map(Monitor::new).collect(), next }))
}

fn holds(watched: &Watched, words: &[String]) -> bool {
    let fixed = &watched.fixed;
    let text = format!("{} {} {} {}", fixed.slug, fixed.title(), fixed.spec.target(), fixed.spec.tags.join(" "))
        .to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

pub(super) async fn read(State(web): State<Web>, Path(name): Path<String>) -> Answer<Json<Monitor>> {
    Ok(Json(Monitor::new(&find(&web, &name)?)))
}

/// A monitor to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMonitor {
    /// Made from the name unless set.
    #[serde(default)]
    slug: Option<Slug>,
    settings: MonitorSpec,
}

pub(super) async fn create(
    State(web): State<Web>,
    caller: Caller,
    Body(new): Body<NewMonitor>,
) -> Answer<impl IntoResponse> {
    let slug = match new.slug {
        Some(slug) => slug,
        None => new
            .settings
            .name
            .as_deref()
            .and_then(Slug::from_name)
            .ok_or_else(|| Problem::field("slug", "Give a slug, or a name that one can be made of."))?,
    };
    put(&web, &caller, slug.clone(), new.settings, Make::New).await?;
    Ok((StatusCode::CREATED, Json(Monitor::new(&find(&web, slug.as_str())?))))
}

pub(super) async fn replace(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    Body(settings): Body<Value>,
) -> Answer<Json<Monitor>> {
    change(&web, &caller, &name, settings).await
}

pub(super) async fn patch(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    Body(patch): Body<Value>,
) -> Answer<Json<Monitor>> {
    let known = find(&web, &name)?;
    let mut settings = serde_json::to_value(&known.fixed.spec).unwrap_or_default();
    merge(&mut settings, patch);
    change(&web, &caller, &name, settings).await
}

/// RFC 7396: `null` removes, objects are merged, everything else replaces.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(fields) = target {
        for (name, value) in patch {
            if value.is_null() {
                fields.remove(&name);
            } else {
                merge(fields.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

async fn change(web: &Web, caller: &Caller, name: &str, mut settings: Value) -> Answer<Json<Monitor>> {
    let slug = slug(name)?;
    let known = web.app().live.get(name);
    if let Some(known) = &known {
        let old = serde_json::to_value(&known.fixed.spec).unwrap_or_default();
        let lost = catalog::keep_secrets(&schemas::MONITOR, &mut settings, &old);
        if let Some(field) = lost.first() {
            return Err(Problem::field(field, "This secret is hidden, and there is none to keep. Send it in full."));
        }
    }
    let spec: MonitorSpec = parse(settings.to_string().as_bytes())?;
    let make = if known.is_some() { Make::Change } else { Make::New };
    put(web, caller, slug, spec, make).await?;
    Ok(Json(Monitor::new(&find(web, name)?)))
}

async fn put(web: &Web, caller: &Caller, slug: Slug, spec: MonitorSpec, make: Make) -> Answer<()> {
    let app = web.app();
    let complaints = spec.validate(&app.settings.load().defaults, &|channel| app.live.channel(channel).is_some());
    if !complaints.is_empty() {
        return Err(Problem::complaints(complaints));
    }
    app.engine.put_monitor(slug.clone(), spec, make).await?;
    web.note(caller, if make == Make::New { "made" } else { "changed" }, &format!("monitor {slug}")).await;
    Ok(())
}

pub(super) async fn delete(State(web): State<Web>, caller: Caller, Path(name): Path<String>) -> Answer<StatusCode> {
    web.app().engine.delete_monitor(slug(&name)?).await?;
    web.note(&caller, "deleted", &format!("monitor {name}")).await;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn pause(State(web): State<Web>, caller: Caller, Path(name): Path<String>) -> Answer<Json<Monitor>> {
    web.app().engine.pause(slug(&name)?).await?;
    web.note(&caller, "paused", &format!("monitor {name}")).await;
    Ok(Json(Monitor::new(&find(&web, &name)?)))
}

pub(super) async fn resume(State(web): State<Web>, caller: Caller, Path(name): Path<String>) -> Answer<Json<Monitor>> {
    web.app().engine.resume(slug(&name)?).await?;
    web.note(&caller, "resumed", &format!("monitor {name}")).await;
    Ok(Json(Monitor::new(&find(&web, &name)?)))
}

/// What an acknowledgement says.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// What you are doing about it.
    #[serde(default)]
    note: String,
}

pub(super) async fn acknowledge(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    BodyIfAny(Note { note }): BodyIfAny<Note>,
) -> Answer<Json<Monitor>> {
    if note.chars().count() > 2000 {
        return Err(Problem::field("note", "A note has at most 2000 characters."));
    }
    web.app().engine.acknowledge(slug(&name)?, caller.name().to_owned(), note).await?;
    Ok(Json(Monitor::new(&find(&web, &name)?)))
}

/// What checking now gave.
#[derive(Serialize, JsonSchema)]
pub(super) struct Checked {
    /// `ok`, `fail` or `local`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    took_us: u64,
    phases: Phases,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_expires_at: Option<Timestamp>,
    evidence: Evidence,
}

impl From<Finding> for Checked {
    fn from(finding: Finding) -> Self {
        let (outcome, reason) = match finding.outcome {
            Outcome::Ok => ("ok", None),
            Outcome::Fail(reason) => ("fail", Some(reason)),
            Outcome::Local(reason) => ("local", Some(reason)),
        };
        Self {
            outcome,
            reason,
            took_us: u64::try_from(finding.took.as_micros()).unwrap_or(u64::MAX),
            phases: finding.phases,
            certificate_expires_at: finding.expires_at,
            evidence: finding.evidence,
        }
    }
}

pub(super) async fn check(State(web): State<Web>, Path(name): Path<String>) -> Answer<Json<Checked>> {
    Ok(Json(web.app().engine.check_now(slug(&name)?).await?.into()))
}

/// A window of time, and how much of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    /// From this moment on; a day ago unless set.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Before this moment; now unless set.
    #[serde(default)]
    to: Option<Timestamp>,
    /// At most so many, the newest; 500 unless set, 10,000 at most.
    #[serde(default)]
    limit: Option<usize>,
}

pub(super) async fn results(
    State(web): State<Web>,
    Path(name): Path<String>,
    Query(window): Query<Window>,
) -> Answer<Json<Vec<Result>>> {
    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
    let watched = find(&web, &name)?;
    let to = window.to.unwrap_or_else(|| web.app().clock.now().shifted(1));
    let from = window.from.unwrap_or(to - DAY);
    let limit = window.limit.unwrap_or(500).clamp(1, 10_000);
    let found = web.app().store.results(watched.fixed.id, from, to, limit, true).await?;
    Ok(Json(found.iter().map(|it| Result::new(it.at, &it.sight, u64::from(it.took_us), it.phases)).collect()))
}

fn find(web: &Web, name: &str) -> Answer<Watched> {
    web.app().live.get(name).ok_or_else(|| Refused::NoMonitor(name.to_owned()).into())
}

/// The number of the monitor that a filter names, if it names one.
pub(super) fn number(web: &Web, slug: Option<&str>) -> Answer<Option<i64>> {
    slug.map(|slug| find(web, slug).map(|watched| watched.fixed.id)).transpose()
}
