//! API tokens: made with a name, a scope and an end, shown once, revoked with one press.

use std::time::Duration;

use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::profile::tabs;
use crate::web::auth::{setup, token};
use crate::web::error::Failure;
use crate::web::layout::{Page, Place, framed};
use crate::web::reader::{Reader, Said};
use crate::web::{Web, links, parts};

/// How long a token lasts: its value in the form, and the words.
const LENGTHS: [(&str, &str, Option<u64>); 4] =
    [("30", "30 days", Some(30)), ("90", "90 days", Some(90)), ("365", "A year", Some(365)), ("", "For ever", None)];
const SCOPES: [(&str, &str, &str); 2] = [
    (token::READ, "Read", "sees everything, changes nothing; enough for /metrics and dashboards"),
    (token::WRITE, "Read and write", "may do all that you may in the console"),
];

/// `GET /settings/tokens`
pub(crate) async fn page(State(web): State<Web>, reader: Reader) -> Result<Markup, Failure> {
    draw(&web, &reader, None, None).await
}

#[derive(serde::Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    name: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    days: String,
}

/// `POST /settings/tokens`
pub(crate) async fn create(
    State(web): State<Web>,
    reader: Reader,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Failure> {
    // Only people make tokens: a token that makes tokens could never be taken back.
    let person = reader.caller.person().ok_or(Failure::Forbidden)?;
    let name = wanted.name.trim();
    if let Some(complaint) = setup::name_complaint(name) {
        return Ok(
            (StatusCode::UNPROCESSABLE_ENTITY, draw(&web, &reader, None, Some(&complaint)).await?).into_response()
        );
    }
    let scope = if wanted.scope == token::WRITE { token::WRITE } else { token::READ };
    let days = LENGTHS.iter().find(|(value, ..)| *value == wanted.days).map_or(Some(30), |(.., days)| *days);
    let lasts = days.map(|days| Duration::from_secs(days * 86_400));
    let (made, text) = token::make(&web, name, scope, &person.name, lasts).await?;
    web.note(&reader.caller, "made", &format!("token {}", made.prefix)).await;
    Ok(draw(&web, &reader, Some(&text), None).await?.into_response())
}

/// `POST /settings/tokens/{id}/revoke`
pub(crate) async fn revoke(State(web): State<Web>, reader: Reader, Path(id): Path<i64>) -> Result<Response, Failure> {
    reader.caller.person().ok_or(Failure::Forbidden)?;
    if !web.app().store.revoke_token(id).await? {
        return Err(Failure::NotFound);
    }
    web.note(&reader.caller, "revoked", &format!("token {id}")).await;
    Ok(reader.done(&links::tokens(), Said::Revoked))
}

async fn draw(web: &Web, reader: &Reader, made: Option<&str>, complaint: Option<&str>) -> Result<Markup, Failure> {
    let tokens = web.app().store.tokens().await?;
    let calendar = &reader.calendar;
    let base = web.app().settings.load().base_url.as_str().trim_end_matches('/').to_owned();
    let main = html! {
        div.headline.tight.plain {
            div {
                h1 { "API tokens" }
                p { "For programs: the API at " code.mono { "/api/v1" } " and " code.mono { "/metrics" } "." }
            }
        }
        (tabs(reader, "tokens"))
        @if let Some(text) = made {
            section.panel.made role="status" aria-labelledby="h-made" {
                div.panel-h { h2 #h-made { "Your new token" } span.sub { "shown this once" } }
                div.panel-b.stack {
                    p.copyable {
                        code.mono.token { (text) }
                        button.btn.sm type="button" hidden data-copy=(text) { (parts::icon("copy")) "Copy" }
                    }
                    pre.code.wrap { "curl -H \"Authorization: Bearer " (text) "\" " (base) "/api/v1/monitors" }
                }
            }
        }
        div.edit.mt {
            section.panel aria-labelledby="h-tokens" {
                div.panel-h { h2 #h-tokens { "Tokens" } }
                @if tokens.is_empty() { div.panel-b { p.i3 { "None yet." } } }
                @else {
                    table.tbl {
                        caption.sr { "Tokens" }
                        colgroup { col; col.c-when.hide-s; col.c-dur; col.c-when.hide-s; col.a-act; }
                        thead {
                            tr {
                                th scope="col" { "Name" }
                                th.hide-s scope="col" { "Last used" }
                                th scope="col" { "May" }
                                th.hide-s scope="col" { "Ends" }
                                th scope="col" { span.sr { "Actions" } }
                            }
                        }
                        tbody { @for it in &tokens {
                            tr {
                                td {
                                    span.nm { (it.name) }
                                    " "
                                    span.tg.mono { (it.prefix) "…" }
                                    " "
                                    span.tg.hide-s { "by " (it.created_by) }
                                }
                                td.num.hide-s {
                                    @match it.used_at { Some(at) => (calendar.time(at)), None => span.i3 { "never" } }
                                }
                                td { (it.scope) }
                                td.num.hide-s {
                                    @match it.expires_at { Some(at) => (calendar.day_time(at)), None => span.i3 { "never" } }
                                }
                                td.r {
                                    form.inline method="post" action=(links::url(&format!("/settings/tokens/{}/revoke", it.id))) {
                                        button.btn.sm.danger { "Revoke" }
                                    }
                                }
                            }
                        } }
                    }
                }
            }
            aside.stack {
                section.panel aria-labelledby="h-new" {
                    div.panel-h { h2 #h-new { "New token" } }
                    div.panel-b {
                        form.form method="post" action=(links::tokens()) {
                            div.field {
                                label for="name" { "Name" }
                                input.inp #name name="name" required maxlength="100" placeholder="e.g. grafana, deploy" autocomplete="off"
                                    aria-invalid=[complaint.map(|_| "true")] aria-describedby=[complaint.map(|_| "name-error")];
                                @if let Some(sentence) = complaint {
                                    p.err #name-error { (parts::small_glyph("down")) (sentence) }
                                }
                            }
                            fieldset.field {
                                legend.lbl { "It may" }
                                @for (index, (value, word, about)) in SCOPES.iter().enumerate() {
                                    label.opt-row {
                                        input.check type="radio" name="scope" value=(value) checked[index == 0];
                                        div { span.b { (word) } p.hint { (about) } }
                                    }
                                }
                            }
                            div.field {
                                label for="days" { "It lasts" }
                                select.inp #days name="days" {
                                    @for (value, word, _) in LENGTHS {
                                        option value=(value) selected[value == "90"] { (word) }
                                    }
                                }
                            }
                            div { button.btn.primary { (parts::icon("key")) "Make token" } }
                        }
                    }
                }
            }
        }
    };
    framed(
        web,
        reader,
        Page { class: "narrow", scripts: &["form.js"], ..Page::new("API tokens", Place::Settings, main) },
    )
    .await
}
