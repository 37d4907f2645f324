//! Adding, changing, testing and deleting a channel. The form comes from the kind's schema, as for monitors.

use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::{Value, json};
use watchbell_core::kind::Complaint;
use watchbell_core::{Slug, catalog};
use watchbell_notify::Channel;

use super::alerting::{before_the_start, state, title};
use super::edit::not_read;
use super::tried::rail;
use crate::engine::{Make, Refused};
use crate::live::{ChannelView, Origin};
use crate::seal::schemas;
use crate::web::error::Failure;
use crate::web::form::{self, Filled, Hints};
use crate::web::layout::{Page, Place, framed};
use crate::web::reader::{Reader, Said};
use crate::web::{Web, links, parts, words};

#[derive(serde::Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    kind: String,
}

/// `GET /alerting/new`
pub(crate) async fn new(
    State(web): State<Web>,
    reader: Reader,
    Query(wanted): Query<Wanted>,
) -> Result<Markup, Failure> {
    let mut filled = Filled::default();
    filled.set("kind", &wanted.kind);
    Draft { existing: None, filled }.page(&web, &reader, &[], None).await
}

/// `GET /alerting/channels/{slug}`
pub(crate) async fn form(State(web): State<Web>, reader: Reader, Path(slug): Path<String>) -> Result<Markup, Failure> {
    let existing = find(&web, &slug).await?;
    match existing.origin {
        Origin::File => read_only(&web, &reader, &existing, None).await,
        Origin::Console => Draft::of(existing).page(&web, &reader, &[], None).await,
    }
}

/// `POST /alerting/new`
pub(crate) async fn create(
    State(web): State<Web>,
    reader: Reader,
    Form(posted): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    Draft { existing: None, filled: Filled::new(posted) }.submitted(&web, &reader).await
}

/// `POST /alerting/channels/{slug}`
pub(crate) async fn save(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
    Form(posted): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let existing = find(&web, &slug).await?;
    if existing.origin == Origin::File {
        return Err(Refused::FromFile(existing.slug).into());
    }
    Draft { existing: Some(existing), filled: Filled::new(posted) }.submitted(&web, &reader).await
}

/// `POST /alerting/channels/{slug}/test`: sends what is saved, and shows what came back.
pub(crate) async fn test(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Response, Failure> {
    let existing = find(&web, &slug).await?;
    let outcome = web.app().test_channel(&existing.slug, &existing.channel).await;
    if reader.script {
        return Ok(match &outcome {
            Ok(answer) => axum::Json(json!({ "said": said(answer) })).into_response(),
            Err(why) => axum::Json(json!({ "detail": format!("The test did not arrive: {}", words::sentence(why)) }))
                .into_response(),
        });
    }
    let content = tested(&outcome, &reader);
    let page = match existing.origin {
        Origin::File => read_only(&web, &reader, &existing, Some(&content)).await?,
        Origin::Console => Draft::of(existing).page(&web, &reader, &[], Some(&content)).await?,
    };
    Ok(page.into_response())
}

/// `GET /alerting/channels/{slug}/delete`
pub(crate) async fn confirm_delete(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Markup, Failure> {
    let existing = find(&web, &slug).await?;
    let used = web.app().live.monitors().iter().filter(|it| it.fixed.notify.contains(&existing.slug)).count();
    let main = html! {
        section.panel.confirm aria-labelledby="h-delete" {
            h1 #h-delete { "Delete " (existing.slug) "?" }
            p {
                @if used == 0 {
                    "No monitor tells it anything."
                } @else {
                    (words::counted(used, "monitor tells", "monitors tell")) " it what happens; they will no longer."
                }
            }
            form.row method="post" action=(links::channel_action(&slug, "delete")) {
                a.btn href=(links::channel(&slug)) autofocus { "Keep it" }
                button.btn.danger-solid { "Delete " (existing.slug) }
            }
        }
    };
    let above = vec![(links::alerting(), "Alerting".into()), (links::channel(&slug), slug)];
    framed(&web, &reader, Page { above, name: "Delete", ..Page::new("Delete", Place::Alerting, main) }).await
}

/// `POST /alerting/channels/{slug}/delete`
pub(crate) async fn delete(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
) -> Result<Response, Failure> {
    let existing = find(&web, &slug).await?;
    web.app().engine.delete_channel(existing.slug).await?;
    web.note(&reader.caller, "deleted", &format!("channel {slug}")).await;
    Ok(reader.done(&links::alerting(), Said::Deleted))
}

async fn find(web: &Web, slug: &str) -> Result<ChannelView, Failure> {
    let mut channel = web.app().live.channel(slug).ok_or(Failure::NotFound)?;
    if channel.last.is_none() {
        channel.last = before_the_start(web, &channel).await;
    }
    Ok(channel)
}

/// A form on its way to becoming a channel.
struct Draft {
    existing: Option<ChannelView>,
    filled: Filled,
}

impl Draft {
    fn of(existing: ChannelView) -> Self {
        let settings = serde_json::to_value(&*existing.channel).unwrap_or_default();
        let kind = existing.channel.kind();
        let mut filled = form_of(kind).fill(&settings);
        filled.set("kind", kind);
        Self { existing: Some(existing), filled }
    }

    async fn submitted(mut self, web: &Web, reader: &Reader) -> Result<Response, Failure> {
        self.filled.set("posted", "1");
        let wish = self.filled.get("do").unwrap_or("save").to_owned();
        if wish == "kind" || self.filled.get("more").is_some() {
            return Ok(self.page(web, reader, &[], None).await?.into_response());
        }
        let (slug, channel) = match self.understood(web) {
            Ok(understood) => understood,
            Err(complaints) => return self.refused(web, reader, &complaints).await,
        };
        if wish == "check" {
            let content = tested(&web.app().test_channel(&slug, &channel).await, reader);
            if reader.script {
                return Ok(axum::Json(json!({ "html": content.into_string() })).into_response());
            }
            return Ok(self.page(web, reader, &[], Some(&content)).await?.into_response());
        }
        let make = if self.existing.is_some() { Make::Change } else { Make::New };
        match web.app().engine.put_channel(slug.clone(), channel, make).await {
            Ok(()) => {
                web.note(
                    &reader.caller,
                    if make == Make::New { "made" } else { "changed" },
                    &format!("channel {slug}"),
                )
                .await;
                Ok(reader.done(&links::alerting(), Said::Saved))
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

    fn kind(&self) -> String {
        let asked = self.filled.get("kind").unwrap_or_default();
        let known = Channel::ALL.iter().find(|entry| entry.name == asked).or(Channel::ALL.first());
        known.map_or_else(String::new, |entry| entry.name.to_owned())
    }

    fn understood(&self, web: &Web) -> Result<(Slug, Channel), Vec<Complaint>> {
        let kind = self.kind();
        let (mut settings, mut complaints) = form_of(&kind).read(&self.filled);
        if settings[&kind].is_null() {
            settings = json!({ (&kind): {} });
        }
        let old = self.existing.as_ref().and_then(|it| serde_json::to_value(&*it.channel).ok()).unwrap_or(Value::Null);
        for path in catalog::keep_secrets(&schemas::CHANNEL, &mut settings, &old) {
            complaints.push(Complaint::new(path, "Type this again: what was there cannot be carried over."));
        }
        let slug = self.slug(web, &kind, &mut complaints);
        match serde_path_to_error::deserialize::<_, Channel>(settings) {
            Ok(channel) => {
                complaints.extend(
                    channel
                        .validate()
                        .into_iter()
                        .map(|it| Complaint::new(format!("{kind}.{}", it.field), it.sentence)),
                );
                slug.filter(|_| complaints.is_empty()).map(|slug| (slug, channel)).ok_or(complaints)
            }
            Err(error) => {
                complaints.push(not_read(&error.path().to_string(), &error.into_inner().to_string()));
                Err(complaints)
            }
        }
    }

    fn slug(&self, web: &Web, kind: &str, complaints: &mut Vec<Complaint>) -> Option<Slug> {
        if let Some(existing) = &self.existing {
            return Some(existing.slug.clone());
        }
        let typed = self.filled.get("slug").unwrap_or_default().trim();
        if !typed.is_empty() {
            return typed.parse().map_err(|why: String| complaints.push(Complaint::new("slug", why))).ok();
        }
        let free = |name: &String| web.app().live.channel(name).is_none();
        std::iter::once(kind.to_owned())
            .chain((2..1000).map(|number| format!("{kind}-{number}")))
            .find(free)?
            .parse()
            .ok()
    }

    async fn page(
        &self,
        web: &Web,
        reader: &Reader,
        complaints: &[Complaint],
        tried: Option<&Markup>,
    ) -> Result<Markup, Failure> {
        let kind = self.kind();
        let beside = |place: &str| (place == "first" && self.existing.is_none()).then(|| self.short_name(complaints));
        let hints = Hints { empty: &|_| None, choices: &|_| None, beside: &beside, complaints };
        let (heading, action) = match &self.existing {
            Some(it) => (format!("Edit {}", it.slug), links::channel(&it.slug)),
            None => ("Add channel".to_owned(), links::new_channel()),
        };
        let main = html! {
            div.headline.tight.plain {
                div { h1 { (heading) } p { "Where messages go." } }
                @if let Some(it) = &self.existing {
                    div.end.row {
                        a.btn.ghost.danger href=(links::channel_action(&it.slug, "delete")) {
                            (parts::icon("bin")) "Delete…"
                        }
                    }
                }
            }
            (form_of(&kind).mistakes(complaints))
            div.edit {
                form.stack-24 #edit method="post" action=(action) data-edit="" novalidate {
                    button.sr tabindex="-1" aria-hidden="true" name="do" value="save" { "Save" }
                    (kinds(&kind))
                    (form_of(&kind).draw(&self.filled, &hints))
                    div.savebar {
                        button.btn.primary name="do" value="save" {
                            @if self.existing.is_some() { "Save" } @else { "Add channel" }
                        }
                        button.btn name="do" value="check" data-try="" { (parts::icon("send")) "Send test" }
                        a.btn.ghost href=(links::alerting()) { "Cancel" }
                        span.msg hidden { "Changes are not saved. " kbd.hide-s { "Ctrl S" } }
                    }
                }
                @match tried {
                    Some(_) => (rail(tried)),
                    None => (rail(Some(&html! { p.note { (parts::icon("send")) span { b { "Send test" } " tells it a message marked TEST with what stands in the form, and shows the answer. Nothing is saved." } } }))),
                }
            }
        };
        let name = if self.existing.is_some() { "Edit channel" } else { "Add channel" };
        let above = vec![(links::alerting(), "Alerting".to_owned())];
        framed(
            web,
            reader,
            Page { above, class: "narrow", scripts: &["form.js"], ..Page::new(name, Place::Alerting, main) },
        )
        .await
    }

    /// The short name of a new channel.
    fn short_name(&self, complaints: &[Complaint]) -> Markup {
        let wrong = complaints.iter().find(|it| it.field == "slug");
        html! {
            div.field {
                label for="f-slug" { "Short name" }
                input.inp.mono #f-slug name="slug" value=(self.filled.get("slug").unwrap_or_default()) maxlength="100" autocomplete="off" spellcheck="false"
                    placeholder="e.g. ops, oncall" aria-invalid=[wrong.map(|_| "true")] aria-describedby="f-slug-help";
                p.hint #f-slug-help { "How monitors name it. It stays." }
                @if let Some(it) = wrong { p.err { (parts::small_glyph("down")) span { (it.sentence) } } }
            }
        }
    }
}

async fn read_only(
    web: &Web,
    reader: &Reader,
    channel: &ChannelView,
    tried: Option<&Markup>,
) -> Result<Markup, Failure> {
    let mut settings = serde_json::to_value(&*channel.channel).unwrap_or_default();
    catalog::redact(&schemas::CHANNEL, &mut settings);
    let yaml = catalog::to_yaml(&json!({ "channels": { (channel.slug.as_str()): settings } }));
    let (class, word) = state(channel);
    let main = html! {
        div.headline.tight.plain {
            div {
                h1 { (channel.slug) }
                p { (parts::state(class, word)) " " (title(channel.channel.kind())) ", " (channel.channel.target()) }
            }
            div.end.row {
                form.inline method="post" action=(links::channel_action(&channel.slug, "test")) data-busy="Sending" {
                    button.btn.primary { (parts::icon("send")) "Send test" }
                }
            }
        }
        div.edit {
            div.stack {
                p.note {
                    (parts::icon("lock"))
                    span {
                        b { "From the configuration file." }
                        " Change it there; the change is taken over without a restart."
                    }
                }
                section.panel aria-labelledby="h-yaml" {
                    div.panel-h {
                        h2 #h-yaml { "As YAML" }
                        span.sub { "secrets are not shown" }
                        span.end {
                            button.btn.ghost.sm type="button" hidden data-copy=(yaml) { (parts::icon("copy")) "Copy" }
                        }
                    }
                    div.panel-b { pre.code { (yaml) } }
                }
            }
            aside.stack.rail #tried { @if let Some(tried) = tried { (tried) } }
        }
    };
    let above = vec![(links::alerting(), "Alerting".to_owned())];
    let name = channel.slug.as_str();
    framed(web, reader, Page { above, class: "narrow", ..Page::new(name, Place::Alerting, main) }).await
}

fn form_of(kind: &str) -> form::Form {
    let schema = Channel::ALL.iter().find(|entry| entry.name == kind).map(catalog::schema).unwrap_or_default();
    form::Form::default().with(kind, &schema, &[])
}

/// What a test gave.
fn tested(outcome: &Result<String, String>, reader: &Reader) -> Markup {
    let (class, heading) =
        if outcome.is_ok() { ("up", "The test arrived") } else { ("down", "The test did not arrive") };
    html! {
        section.panel aria-labelledby="h-tested" {
            div.panel-h { h2 #h-tested { "Test" } span.sub { (reader.calendar.time(reader.now())) } }
            div.panel-b {
                p.verdict {
                    (parts::glyph(class, 20)) span { b { (heading) } small { "Marked TEST. Nothing was saved." } }
                }
                @match outcome {
                    Ok(answer) if answer.trim().is_empty() => {},
                    Ok(answer) => { p.hint { "The answer was" } pre.code.wrap.mt8 { (answer) } },
                    Err(why) => p.down-t { (words::sentence(why)) },
                }
            }
        }
    }
}

fn said(answer: &str) -> String {
    match answer.trim() {
        "" => "The test arrived.".to_owned(),
        answer => format!("The test arrived. The answer was: {}", answer.chars().take(120).collect::<String>()),
    }
}

fn kinds(chosen: &str) -> Markup {
    html! {
        fieldset {
            legend.lbl.mb8 { "What kind" }
            div.kinds {
                @for entry in Channel::ALL {
                    @let schema = catalog::schema(entry);
                    label.kind {
                        input type="radio" name="kind" value=(entry.name) checked[entry.name == chosen];
                        (parts::icon(icon(entry.name)))
                        span {
                            (schema["title"].as_str().unwrap_or(entry.name)) br;
                            small { (first_words(schema["description"].as_str().unwrap_or_default())) }
                        }
                    }
                }
            }
            button.btn.sm.mt8.no-script name="do" value="kind" #choose-kind formnovalidate { "Choose this kind" }
        }
    }
}

fn first_words(about: &str) -> &str {
    about.split_once(['.', ',', ':', '\n']).map_or(about, |(first, _)| first)
}

fn icon(kind: &str) -> &'static str {
    match kind {
        "webhook" => "webhook",
        "email" => "mail",
        "telegram" => "send",
        "slack" => "note",
        _ => "alert",
    }
}
