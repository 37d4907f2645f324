//! Adding, changing, copying and deleting a monitor. The form comes from the kind's schema; a check can be tried
//! from it without saving. Everything works as plain posts: choosing a kind, adding a row, trying, saving.

use std::collections::BTreeSet;

use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::{Value, json};
use watchbell_core::catalog;
use watchbell_core::kind::Complaint;
use watchbell_core::{Policy, Slug};
use watchbell_probe::{Ask, Probe, Reuse};
use watchbell_store::IncidentFilter;

use super::monitor::find;
use super::tried::{rail, tried};
use crate::clock::Clock;
use crate::config::spec::{HeartbeatSpec, MonitorSpec};
use crate::engine::{Make, Refused};
use crate::live::{Origin, Watched};
use crate::seal::schemas;
use crate::web::error::Failure;
use crate::web::form::{self, Filled, Hints};
use crate::web::layout::{Page, Place, framed};
use crate::web::reader::{Reader, Said};
use crate::web::{Web, links, parts, words};

/// A check from a form ends after this, whatever its timeout says: somebody is waiting.
const LONGEST_TRY: std::time::Duration = std::time::Duration::from_secs(60);
/// Nobody chooses from more.
const MOST_GROUPS: usize = 200;
const HEARTBEAT: &str = "heartbeat";
/// Settings of asking that mean nothing to who calls in.
const OF_PROBES: [&str; 8] = [
    "interval",
    "retry_interval",
    "timeout",
    "failure_threshold",
    "success_threshold",
    "slow_above",
    "slow_threshold",
    "expiry_days",
];

#[derive(serde::Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    kind: String,
}

/// `GET /new`
pub(crate) async fn new(
    State(web): State<Web>,
    reader: Reader,
    Query(wanted): Query<Wanted>,
) -> Result<Markup, Failure> {
    let mut filled = Filled::default();
    filled.set("kind", &wanted.kind);
    Draft { existing: None, from: None, filled }.page(&web, &reader, &[], None).await
}

/// `GET /monitors/{slug}/edit`
pub(crate) async fn form(State(web): State<Web>, reader: Reader, Path(slug): Path<String>) -> Result<Markup, Failure> {
    let watched = find(&web, &slug)?;
    if watched.fixed.origin == Origin::File {
        return read_only(&web, &reader, &watched).await;
    }
    let filled = filled_from(&watched.fixed.spec);
    Draft { existing: Some(watched), from: None, filled }.page(&web, &reader, &[], None).await
}

/// `GET /monitors/{slug}/duplicate`
pub(crate) async fn duplicate(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Markup, Failure> {
    let watched = find(&web, &slug)?;
    let mut spec = watched.fixed.spec.clone();
    spec.name = Some(format!("{} copy", watched.fixed.title()));
    // Addresses belong to one monitor only.
    if let Some(beat) = &mut spec.heartbeat {
        beat.ping_id = None;
        beat.push_token = None;
    }
    let filled = filled_from(&spec);
    Draft { existing: None, from: Some(watched), filled }.page(&web, &reader, &[], None).await
}

/// `POST /new`
pub(crate) async fn create(
    State(web): State<Web>,
    reader: Reader,
    Form(posted): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let filled = Filled::new(posted);
    let from = filled.get("from").and_then(|slug| web.app().live.get(slug));
    Draft { existing: None, from, filled }.submitted(&web, &reader).await
}

/// `POST /monitors/{slug}/edit`
pub(crate) async fn save(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
    Form(posted): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    if watched.fixed.origin == Origin::File {
        return Err(Refused::FromFile(watched.fixed.slug.clone()).into());
    }
    Draft { existing: Some(watched), from: None, filled: Filled::new(posted) }.submitted(&web, &reader).await
}

/// `GET /monitors/{slug}/delete`
pub(crate) async fn confirm_delete(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Markup, Failure> {
    let watched = find(&web, &slug)?;
    let filter = IncidentFilter { monitor: Some(watched.fixed.id), ..IncidentFilter::default() };
    let incidents = web.app().store.incidents(&filter, watchbell_store::Page::first(500)).await?.len();
    let age = words::length(reader.now().since(watched.fixed.created_at));
    let name = watched.fixed.title();
    let main = html! {
        section.panel.confirm aria-labelledby="h-delete" {
            h1 #h-delete { "Delete " (name) "?" }
            p {
                "With it go " (age) " of history and " (words::counted(incidents, "incident", "incidents")) ". This cannot be undone."
                @if watched.state.incident.is_some() {
                    " Whoever was told that it is down will be told that nobody looks any more."
                }
            }
            form.row method="post" action=(links::monitor_action(&slug, "delete")) {
                a.btn href=(links::monitor(&slug)) autofocus { "Keep it" }
                button.btn.danger-solid { "Delete " (name) }
            }
        }
    };
    let above = vec![(links::overview(), "Overview".into()), (links::monitor(&slug), name.to_owned())];
    framed(&web, &reader, Page { above, name: "Delete", ..Page::new("Delete", Place::Overview, main) }).await
}

/// `POST /monitors/{slug}/delete`
pub(crate) async fn delete(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    web.app().engine.delete_monitor(watched.fixed.slug.clone()).await?;
    web.note(&reader.caller, "deleted", &format!("monitor {slug}")).await;
    Ok(reader.done(&links::overview(), Said::Deleted))
}

/// A form on its way to becoming a monitor.
struct Draft {
    /// What is being changed.
    existing: Option<Watched>,
    /// What it is a copy of; its secrets are kept.
    from: Option<Watched>,
    filled: Filled,
}

impl Draft {
    /// What the button that was pressed asks for.
    async fn submitted(mut self, web: &Web, reader: &Reader) -> Result<Response, Failure> {
        self.filled.set("posted", "1");
        let wish = self.filled.get("do").unwrap_or("save").to_owned();
        if wish == "kind" || self.filled.get("more").is_some() {
            return Ok(self.page(web, reader, &[], None).await?.into_response());
        }
        let (slug, spec) = match self.understood(web) {
            Ok(understood) => understood,
            Err(complaints) => return self.refused(web, reader, &complaints).await,
        };
        if wish == "check" {
            return self.tried(web, reader, &spec).await;
        }
        let make = if self.existing.is_some() { Make::Change } else { Make::New };
        let said = if self.existing.is_some() { Said::Saved } else { Said::Added };
        match web.app().engine.put_monitor(slug.clone(), spec, make).await {
            Ok(()) => {
                web.note(
                    &reader.caller,
                    if make == Make::New { "made" } else { "changed" },
                    &format!("monitor {slug}"),
                )
                .await;
                Ok(reader.done(&links::monitor(&slug), said))
            }
            Err(refused @ (Refused::Exists(_) | Refused::Invalid(_))) => {
                let field = if matches!(refused, Refused::Exists(_)) { "slug" } else { "" };
                self.refused(web, reader, &[Complaint::new(field, refused.to_string())]).await
            }
            Err(refused) => Err(refused.into()),
        }
    }

    async fn refused(&self, web: &Web, reader: &Reader, complaints: &[Complaint]) -> Result<Response, Failure> {
        if reader.script {
            let sentences: Vec<&str> = complaints.iter().map(|it| it.sentence.as_str()).collect();
            return Err(Failure::BadRequest(sentences.join(" ")));
        }
        let page = self.page(web, reader, complaints, None).await?;
        Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
    }

    /// Asks once with what stands in the form.
    async fn tried(&self, web: &Web, reader: &Reader, spec: &MonitorSpec) -> Result<Response, Failure> {
        let defaults = &web.app().settings.load().defaults;
        let content = match &spec.probe {
            Some(probe) => {
                let timeout = spec.policy(defaults, 0).timeout.min(LONGEST_TRY);
                let reuse = Reuse::new(0);
                let ask = Ask {
                    net: &web.app().net,
                    deadline: Clock::deadline(timeout),
                    now: reader.now(),
                    reuse: &reuse,
                    monitor: 0,
                };
                let finding = probe.ask(&ask).await;
                tried(&finding, spec.slow_above(defaults), reader)
            }
            None => {
                html! { p.note { (parts::icon("heartbeat")) span { "A heartbeat is not asked: it calls in by itself. Save it to see its addresses." } } }
            }
        };
        if reader.script {
            return Ok(axum::Json(json!({ "html": content.into_string() })).into_response());
        }
        Ok(self.page(web, reader, &[], Some(&content)).await?.into_response())
    }

    fn kind(&self) -> String {
        let asked = self.filled.get("kind").unwrap_or_default();
        let known = asked == HEARTBEAT || Probe::ALL.iter().any(|entry| entry.name == asked);
        let first = || Probe::ALL.first().map_or(HEARTBEAT, |entry| entry.name).to_owned();
        if known { asked.to_owned() } else { first() }
    }

    /// The monitor that the form stands for, or what is wrong with it, every mistake with its field.
    fn understood(&self, web: &Web) -> Result<(Slug, MonitorSpec), Vec<Complaint>> {
        let kind = self.kind();
        let (mut settings, mut complaints) = form_of(&kind).read(&self.filled);
        // A kind of which nothing is filled in is still of that kind.
        if kind == HEARTBEAT {
            settings.as_object_mut().map(|it| it.entry(HEARTBEAT).or_insert_with(|| json!({})));
        } else if settings["probe"][&kind].is_null() {
            settings["probe"] = json!({ (&kind): {} });
        }
        let old = self
            .existing
            .as_ref()
            .or(self.from.as_ref())
            .and_then(|it| serde_json::to_value(&it.fixed.spec).ok())
            .unwrap_or_default();
        for path in catalog::keep_secrets(&schemas::MONITOR, &mut settings, &old) {
            complaints.push(Complaint::new(path, "Type this again: what was there cannot be carried over."));
        }
        let spec = match serde_path_to_error::deserialize::<_, MonitorSpec>(settings) {
            Ok(spec) => spec,
            Err(error) => {
                complaints.push(not_read(&error.path().to_string(), &error.into_inner().to_string()));
                return Err(complaints);
            }
        };
        let app = web.app();
        let known = |slug: &str| app.live.channel(slug).is_some();
        complaints.extend(spec.validate(&app.settings.load().defaults, &known));
        let slug = self.slug(web, &spec, &mut complaints);
        match slug {
            Some(slug) if complaints.is_empty() => Ok((slug, spec)),
            _ => Err(complaints),
        }
    }

    /// As typed, else proposed from the name or the address.
    fn slug(&self, web: &Web, spec: &MonitorSpec, complaints: &mut Vec<Complaint>) -> Option<Slug> {
        if let Some(existing) = &self.existing {
            return Some(existing.fixed.slug.clone());
        }
        let typed = self.filled.get("slug").unwrap_or_default().trim();
        if !typed.is_empty() {
            let slug = typed.parse().map_err(|why: String| complaints.push(Complaint::new("slug", why)));
            return slug.ok();
        }
        let target = spec.target();
        let target = target.split_once("://").map_or(target.as_str(), |(_, rest)| rest);
        let proposed = spec.name.as_deref().and_then(Slug::from_name).or_else(|| Slug::from_name(target));
        let proposed = proposed.or_else(|| spec.kind().parse().ok())?;
        if web.app().live.get(proposed.as_str()).is_none() {
            return Some(proposed);
        }
        (2..1000)
            .filter_map(|number| format!("{proposed}-{number}").parse::<Slug>().ok())
            .find(|slug| web.app().live.get(slug.as_str()).is_none())
    }

    async fn page(
        &self,
        web: &Web,
        reader: &Reader,
        complaints: &[Complaint],
        tried: Option<&Markup>,
    ) -> Result<Markup, Failure> {
        let kind = self.kind();
        let app = web.app();
        let defaults = app.settings.load().defaults.clone();
        let form = form_of(&kind);
        let usual =
            MonitorSpec { heartbeat: (kind == HEARTBEAT).then(HeartbeatSpec::default), ..MonitorSpec::default() }
                .policy(&defaults, 0);
        let empty = |name: &str| usual_value(name, &usual, &defaults);
        let channels: Vec<(String, String)> =
            app.live.channels().iter().map(|it| (it.slug.to_string(), it.channel.target())).collect();
        let choices = |name: &str| (name == "notify").then(|| channels.clone());
        let (settings, _) = form.read(&self.filled);
        let policy =
            serde_json::from_value::<MonitorSpec>(without_kind(settings)).ok().map(|spec| spec.policy(&defaults, 0));
        let beside = |place: &str| match (place, &policy) {
            ("last", _) => self.existing.is_none().then(|| self.short_name(complaints)),
            ("What counts as down", Some(policy)) if kind != HEARTBEAT => Some(consequence(policy)),
            _ => None,
        };
        let hints = Hints { empty: &empty, choices: &choices, beside: &beside, complaints };
        let (title, action, back) = match &self.existing {
            Some(it) => (
                format!("Edit {}", it.fixed.title()),
                links::monitor_action(&it.fixed.slug, "edit"),
                links::monitor(&it.fixed.slug),
            ),
            None => ("Add monitor".to_owned(), links::new_monitor(), links::overview()),
        };
        let main = html! {
            div.headline.tight.plain {
                div {
                    h1 { (title) }
                    p { @match (&self.existing, &self.from) {
                        (Some(it), _) => { span.mono { (it.fixed.slug) } },
                        (None, Some(it)) => { "A copy of " (it.fixed.title()) "." },
                        (None, None) => { "Only what is marked is needed. Everything else has a sensible value." },
                    } }
                }
                @if let Some(it) = &self.existing {
                    div.end.row {
                        a.btn.ghost.danger href=(links::monitor_action(&it.fixed.slug, "delete")) {
                            (parts::icon("bin")) "Delete…"
                        }
                    }
                }
            }
            (form.mistakes(complaints))
            div.edit {
                form.stack-24 #edit method="post" action=(action) data-edit="" novalidate {
                    // Enter in a field saves; without this it would press the first button it meets.
                    button.sr tabindex="-1" aria-hidden="true" name="do" value="save" { "Save" }
                    @if let Some(it) = &self.from { input type="hidden" name="from" value=(it.fixed.slug); }
                    (kinds(&kind))
                    datalist #groups { @for group in groups(web) { option value=(group) {} } }
                    (form.draw(&self.filled, &hints))
                    div.savebar {
                        button.btn.primary name="do" value="save" {
                            @if self.existing.is_some() { "Save" } @else { "Add monitor" }
                        }
                        @if kind != HEARTBEAT {
                            button.btn name="do" value="check" data-try="" { (parts::icon("again")) "Check now" }
                        }
                        a.btn.ghost href=(back) { "Cancel" }
                        span.msg hidden { "Changes are not saved. " kbd.hide-s { "Ctrl S" } }
                    }
                }
                (rail(tried))
            }
        };
        let mut above = vec![(links::overview(), "Overview".to_owned())];
        if let Some(it) = &self.existing {
            above.push((links::monitor(&it.fixed.slug), it.fixed.title().to_owned()));
        }
        let name = if self.existing.is_some() { "Edit" } else { "Add monitor" };
        let page = Page {
            title,
            above,
            name,
            class: "narrow",
            scripts: &["form.js"],
            ..Page::new(name, Place::Overview, main)
        };
        framed(web, reader, page).await
    }

    /// The short name of a new monitor.
    fn short_name(&self, complaints: &[Complaint]) -> Markup {
        let wrong = complaints.iter().find(|it| it.field == "slug");
        html! {
            div.field {
                label for="f-slug" { "Short name" }
                input.inp.mono #f-slug name="slug" value=(self.filled.get("slug").unwrap_or_default()) maxlength="100" autocomplete="off" spellcheck="false"
                    placeholder="made from the name" data-slug="" aria-invalid=[wrong.map(|_| "true")] aria-describedby="f-slug-help";
                p.hint #f-slug-help { "Its identity in addresses, files and metrics. It stays." }
                @if let Some(it) = wrong { p.err { (parts::small_glyph("down")) span { (it.sentence) } } }
            }
        }
    }
}

/// What was read from a file: to look at and to copy, not to change here.
async fn read_only(web: &Web, reader: &Reader, watched: &Watched) -> Result<Markup, Failure> {
    let fixed = &watched.fixed;
    let mut settings = serde_json::to_value(&fixed.spec).unwrap_or_default();
    catalog::redact(&schemas::MONITOR, &mut settings);
    let yaml = catalog::to_yaml(&json!({ "monitors": { (fixed.slug.as_str()): settings } }));
    let main = html! {
        div.headline.tight.plain {
            div { h1 { (fixed.title()) } p { "Settings" } }
            div.end.row {
                a.btn href=(links::monitor_action(&fixed.slug, "duplicate")) { (parts::icon("copy")) "Duplicate" }
            }
        }
        p.note {
            (parts::icon("lock"))
            span {
                b { "From the configuration file." } " Change it there; the change is taken over without a restart."
            }
        }
        section.panel.mt aria-labelledby="h-yaml" {
            div.panel-h {
                h2 #h-yaml { "As YAML" }
                span.sub { "secrets are not shown" }
                span.end { button.btn.ghost.sm type="button" hidden data-copy=(yaml) { (parts::icon("copy")) "Copy" } }
            }
            div.panel-b { pre.code { (yaml) } }
        }
    };
    let above = vec![(links::overview(), "Overview".into()), (links::monitor(&fixed.slug), fixed.title().to_owned())];
    framed(
        web,
        reader,
        Page { above, name: "Settings", class: "narrow", ..Page::new("Settings", Place::Overview, main) },
    )
    .await
}

/// The fields of a kind with those of every monitor.
fn form_of(kind: &str) -> form::Form {
    let mut without = vec!["probe", HEARTBEAT];
    let form = if kind == HEARTBEAT {
        without.extend(OF_PROBES);
        form::Form::default().with(HEARTBEAT, &catalog::schema_of::<HeartbeatSpec>(), &[])
    } else {
        let entry = Probe::ALL.iter().find(|entry| entry.name == kind);
        let schema = entry.map(catalog::schema).unwrap_or_default();
        form::Form::default().with(&format!("probe.{kind}"), &schema, &[])
    };
    form.with("", &schemas::MONITOR, &without).inheriting(&["notify", "expiry_days"])
}

fn filled_from(spec: &MonitorSpec) -> Filled {
    let settings = serde_json::to_value(spec).unwrap_or_default();
    let mut filled = form_of(spec.kind()).fill(&settings);
    filled.set("kind", spec.kind());
    filled
}

/// The groups there are, offered while one is typed.
fn groups(web: &Web) -> BTreeSet<String> {
    web.app().live.monitors().iter().filter_map(|it| it.fixed.spec.group.clone()).take(MOST_GROUPS).collect()
}

/// The cards of all kinds. Without script the chosen one takes effect with its button.
fn kinds(chosen: &str) -> Markup {
    let probes = Probe::ALL.iter().map(|entry| {
        let schema = catalog::schema(entry);
        let title = schema["title"].as_str().unwrap_or(entry.name).to_owned();
        let about = schema["description"].as_str().unwrap_or_default();
        (entry.name, title, about.split_once(['.', ',', ':']).map_or(about, |(first, _)| first).to_owned())
    });
    let all: Vec<(&str, String, String)> =
        probes.chain([(HEARTBEAT, "Heartbeat".to_owned(), "A job reports in".to_owned())]).collect();
    html! {
        fieldset {
            legend.lbl.mb8 { "What to watch" }
            div.kinds {
                @for (name, title, about) in &all {
                    label.kind {
                        input type="radio" name="kind" value=(name) checked[*name == chosen];
                        (parts::icon(kind_icon(name)))
                        span { (title) br; small { (about) } }
                    }
                }
            }
            button.btn.sm.mt8.no-script name="do" value="kind" #choose-kind formnovalidate { "Choose this kind" }
        }
    }
}

pub(crate) fn kind_icon(kind: &str) -> &'static str {
    match kind {
        "http" | "websocket" => "globe",
        "ping" => "target",
        "tcp" => "plug",
        "dicom" => "scan",
        "dns" => "dns",
        HEARTBEAT => "heartbeat",
        "postgres" | "mysql" | "redis" | "mongodb" => "db",
        "grpc" => "braces",
        "smtp" | "imap" | "email" => "mail",
        "tls" | "radius" => "lock",
        "script" | "ssh" => "term",
        _ => "eye",
    }
}

/// What an empty field means: the defaults of all monitors.
fn usual_value(name: &str, usual: &Policy, defaults: &crate::config::spec::Defaults) -> Option<String> {
    let span = |length| Some(watchbell_core::Span(length).to_string());
    match name {
        "interval" => span(usual.interval),
        "retry_interval" => span(usual.retry_interval),
        "timeout" => span(usual.timeout),
        "failure_threshold" => Some(usual.failure_threshold.to_string()),
        "success_threshold" => Some(usual.success_threshold.to_string()),
        "slow_threshold" => Some(usual.slow_threshold.to_string()),
        "slow_above" => Some(defaults.slow_above.map_or_else(|| "not judged".into(), |span| span.to_string())),
        "remind_every" => {
            Some(usual.remind_every.map_or_else(|| "never".into(), |every| watchbell_core::Span(every).to_string()))
        }
        "expiry_days" => Some(format!(
            "As usual: {} days before",
            usual.expiry_days.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
        )),
        "notify" => Some(match defaults.notify.as_deref() {
            None | Some([]) => "As the defaults say: nobody".into(),
            Some(slugs) => {
                format!("As the defaults say: {}", words::listed(&slugs.iter().map(Slug::as_str).collect::<Vec<_>>()))
            }
        }),
        "heartbeat.grace" => Some("1m".into()),
        "heartbeat.timezone" => Some("UTC".into()),
        _ => None,
    }
}

/// The settings of deciding alone, whatever is asked.
fn without_kind(mut settings: Value) -> Value {
    if let Some(map) = settings.as_object_mut() {
        map.shift_remove("probe");
        map.shift_remove(HEARTBEAT);
    }
    settings
}

/// What the numbers mean for whoever is waiting to be told.
fn consequence(policy: &Policy) -> Markup {
    let gap = policy.retry_interval * policy.failure_threshold.saturating_sub(1);
    html! {
        p.note {
            (parts::icon("clock"))
            span {
                "An outage is told after about " b { (words::setting(policy.interval / 2 + gap)) } ", at most after " (words::setting(policy.told_within())) ". "
                @if gap.is_zero() {
                    "The first failure is told."
                } @else {
                    "A hiccup under " (words::setting(gap)) " is never told."
                }
            }
        }
    }
}

/// A sentence for what a parser said, at the field that it means.
pub(crate) fn not_read(path: &str, said: &str) -> Complaint {
    let missing = said.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    match missing {
        Some((field, _)) if path == "." => Complaint::new(field, "This is needed."),
        Some((field, _)) => Complaint::new(format!("{path}.{field}"), "This is needed."),
        None => Complaint::new(path, words::sentence(said)),
    }
}
