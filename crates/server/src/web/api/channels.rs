//! `/api/v1/channels`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use watchbell_core::{Slug, Timestamp, catalog};

use super::input::{Body, parse, slug};
use super::problem::Problem;
use crate::engine::{Make, Refused};
use crate::live::{ChannelView, Origin};
use crate::seal::schemas;
use crate::web::Web;
use crate::web::auth::Caller;

type Answer<T> = Result<T, Problem>;

/// One channel and how its last delivery went.
#[derive(Serialize, JsonSchema)]
pub(super) struct Channel {
    slug: Slug,
    /// `webhook`, `email`, …
    kind: &'static str,
    /// Where it goes, without secrets.
    target: String,
    origin: Origin,
    /// When something was sent last in this process's life.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sent: Option<Timestamp>,
    /// Why the last one was refused, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// As written; secrets show as `•••`, and `•••` sent back keeps what is there.
    settings: Value,
}

impl Channel {
    fn new(view: &ChannelView) -> Self {
        let mut settings = serde_json::to_value(&*view.channel).unwrap_or_default();
        catalog::redact(&schemas::CHANNEL, &mut settings);
        Self {
            slug: view.slug.clone(),
            kind: view.channel.kind(),
            target: view.channel.target(),
            origin: view.origin,
            last_sent: view.last.as_ref().map(|(at, _)| *at),
            refused: view.last.as_ref().and_then(|(_, outcome)| outcome.clone().err()),
            settings,
        }
    }
}

pub(super) async fn list(State(web): State<Web>) -> Json<Vec<Channel>> {
    Json(web.app().live.channels().iter().map(Channel::new).collect())
}

pub(super) async fn read(State(web): State<Web>, Path(name): Path<String>) -> Answer<Json<Channel>> {
    Ok(Json(Channel::new(&find(&web, &name)?)))
}

/// A channel to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewChannel {
    slug: Slug,
    settings: watchbell_notify::Channel,
}

pub(super) async fn create(
    State(web): State<Web>,
    caller: Caller,
    Body(new): Body<NewChannel>,
) -> Answer<impl IntoResponse> {
    put(&web, &caller, new.slug.clone(), new.settings, Make::New).await?;
    Ok((StatusCode::CREATED, Json(Channel::new(&find(&web, new.slug.as_str())?))))
}

pub(super) async fn replace(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    Body(mut settings): Body<Value>,
) -> Answer<Json<Channel>> {
    let slug = slug(&name)?;
    let known = web.app().live.channel(&name);
    if let Some(known) = &known {
        let old = serde_json::to_value(&*known.channel).unwrap_or_default();
        let lost = catalog::keep_secrets(&schemas::CHANNEL, &mut settings, &old);
        if let Some(field) = lost.first() {
            return Err(Problem::field(field, "This secret is hidden, and there is none to keep. Send it in full."));
        }
    }
    let channel = parse(settings.to_string().as_bytes())?;
    let make = if known.is_some() { Make::Change } else { Make::New };
    put(&web, &caller, slug, channel, make).await?;
    Ok(Json(Channel::new(&find(&web, &name)?)))
}

async fn put(web: &Web, caller: &Caller, slug: Slug, channel: watchbell_notify::Channel, make: Make) -> Answer<()> {
    let complaints = channel.validate();
    if !complaints.is_empty() {
        return Err(Problem::complaints(complaints));
    }
    web.app().engine.put_channel(slug.clone(), channel, make).await?;
    web.note(caller, if make == Make::New { "made" } else { "changed" }, &format!("channel {slug}")).await;
    Ok(())
}

pub(super) async fn delete(State(web): State<Web>, caller: Caller, Path(name): Path<String>) -> Answer<StatusCode> {
    web.app().engine.delete_channel(slug(&name)?).await?;
    web.note(&caller, "deleted", &format!("channel {name}")).await;
    Ok(StatusCode::NO_CONTENT)
}

/// What came of a test message.
#[derive(Serialize, JsonSchema)]
pub(super) struct Tested {
    delivered: bool,
    /// What the service answered, or why the message was not delivered.
    answer: String,
}

pub(super) async fn test(State(web): State<Web>, Path(name): Path<String>) -> Answer<Json<Tested>> {
    let view = find(&web, &name)?;
    let tested = web.app().test_channel(&view.slug, &view.channel).await;
    Ok(Json(match tested {
        Ok(answer) => Tested { delivered: true, answer },
        Err(answer) => Tested { delivered: false, answer },
    }))
}

fn find(web: &Web, name: &str) -> Answer<ChannelView> {
    web.app().live.channel(name).ok_or_else(|| Refused::NoChannel(name.to_owned()).into())
}
