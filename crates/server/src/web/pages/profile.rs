//! A person's own settings: password, sessions, theme, zone.

use axum::extract::{Form, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use watchbell_store::Person;

use crate::web::auth::{Caller, password, session};
use crate::web::error::Failure;
use crate::web::gate::password_field;
use crate::web::layout::{Page, Place, framed};
use crate::web::reader::{Reader, Said, THEME, ZONE, preference, theme_named, zone_of};
use crate::web::{Web, links, parts};

/// `GET /settings`
pub(crate) async fn page(State(web): State<Web>, reader: Reader) -> Result<Markup, Failure> {
    draw(&web, &reader, &[]).await
}

async fn draw(web: &Web, reader: &Reader, complaints: &[(&str, String)]) -> Result<Markup, Failure> {
    let of = |field: &str| complaints.iter().find(|(of, _)| *of == field).map(|(_, sentence)| sentence.as_str());
    let sessions = match reader.caller.person() {
        Some(person) => web.app().store.sessions(person.id).await?,
        None => Vec::new(),
    };
    let own = match &reader.caller {
        Caller::Person(it) => it.digest.clone(),
        Caller::Program(_) | Caller::Nobody => Vec::new(),
    };
    let main = html! {
        div.headline.tight.plain { div { h1 { "Settings" } p { (reader.caller.name()) } } }
        (tabs(reader, "profile"))
        div.cols-2 {
            section.panel aria-labelledby="h-look" {
                div.panel-h { h2 #h-look { "Look and time" } }
                div.panel-b.form {
                    form.field method="post" action=(links::url("/theme")) {
                        span.lbl { "Theme" }
                        input type="hidden" name="next" value=(links::settings());
                        span.seg role="group" aria-label="Theme" {
                            @for (value, word) in [("", "As the system"), ("light", "Light"), ("dark", "Dark")] {
                                button name="theme" value=(value) aria-pressed=(if reader.theme.unwrap_or_default() == value { "true" } else { "false" }) {
                                    (word)
                                }
                            }
                        }
                    }
                    form.field method="post" action=(links::url("/settings/zone")) {
                        label for="zone" { "Time zone" }
                        div.row.nowrap-row {
                            input.inp #zone name="zone" list="zones" placeholder="as the browser says" autocomplete="off" aria-describedby="zone-help"
                                aria-invalid=[of("zone").map(|_| "true")];
                            button.btn { "Save" }
                        }
                        datalist #zones { @for zone in ZONES { option value=(zone) {} } }
                        @if let Some(sentence) = of("zone") { p.err { (parts::small_glyph("down")) (sentence) } }
                        p.hint #zone-help {
                            "Times are shown in "
                            b { (reader.calendar.zone.iana_name().unwrap_or("the zone of this server")) }
                            ". Leave it empty to follow the browser."
                        }
                    }
                }
            }
            section.panel aria-labelledby="h-password" {
                div.panel-h { h2 #h-password { "Password" } }
                div.panel-b {
                    form.form method="post" action=(links::url("/settings/password")) {
                        input type="text" hidden name="username" autocomplete="username" value=(reader.caller.name());
                        (password_field("old", "The present one", "current-password", of("old")))
                        (password_field("new", "The new one", "new-password", of("new")))
                        p.hint { "At least " (password::SHORTEST) " characters. All other sessions end." }
                        div { button.btn { "Change password" } }
                    }
                }
            }
        }
        section.panel.mt aria-labelledby="h-sessions" {
            div.panel-h {
                h2 #h-sessions { "Sessions" } span.sub { "where you are signed in" }
                span.end {
                    form.inline method="post" action=(links::url("/settings/sign-out-everywhere")) {
                        button.btn.sm { "Sign out everywhere else" }
                    }
                    form.inline method="post" action=(links::url("/logout")) {
                        button.btn.sm { (parts::icon("out")) "Sign out" }
                    }
                }
            }
            table.tbl.dense {
                caption.sr { "Your sessions" }
                colgroup { col; col.c-when; col.c-when.hide-s; }
                thead {
                    tr { th scope="col" { "Browser" } th scope="col" { "Last seen" } th.hide-s scope="col" { "Since" } }
                }
                tbody { @for it in &sessions {
                    tr {
                        td title=(it.agent) {
                            (browser(&it.agent)) @if it.token_hash == own { " " span.tag { "this one" } }
                        }
                        td.num { (reader.calendar.time(it.seen_at)) }
                        td.num.hide-s { (reader.calendar.time(it.created_at)) }
                    }
                } }
            }
        }
    };
    framed(web, reader, Page { class: "narrow", ..Page::new("Settings", Place::Settings, main) }).await
}

/// The pages of the settings.
pub(super) fn tabs(reader: &Reader, here: &str) -> Markup {
    html! {
        nav.tabline aria-label="Settings" {
            a href=(links::settings()) aria-current=[(here == "profile").then_some("page")] { "Profile" }
            @if reader.is_editor() {
                a href=(links::tokens()) aria-current=[(here == "tokens").then_some("page")] { "API tokens" }
            }
            a href=(links::about()) aria-current=[(here == "about").then_some("page")] { "About" }
        }
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct Change {
    #[serde(default)]
    old: String,
    #[serde(default)]
    new: String,
}

/// `POST /settings/password`
pub(crate) async fn change_password(
    State(web): State<Web>,
    reader: Reader,
    headers: HeaderMap,
    extensions: Extensions,
    Form(change): Form<Change>,
) -> Result<Response, Failure> {
    let person = own(&reader)?.clone();
    let now = web.app().clock.now();
    let address = crate::web::auth::address(&headers, &extensions);
    let again = |page: Markup| (StatusCode::UNPROCESSABLE_ENTITY, page).into_response();
    if web.limiter().wait(address, &person.name, now).is_some() {
        return Err(Failure::Refused("Too many attempts. Try again in a minute.".into()));
    }
    if !password::verify(change.old, Some(person.password_hash.clone())).await {
        web.limiter().failed(address, &person.name, now);
        return Ok(again(draw(&web, &reader, &[("old", "This is not your password.".into())]).await?));
    }
    if let Some(complaint) = password::complaint(&change.new) {
        return Ok(again(draw(&web, &reader, &[("new", complaint)]).await?));
    }
    let hash = password::hash(change.new).await.ok_or(Failure::Busy)?;
    // The store ends every session with it; this browser gets a new one.
    web.app().store.set_password(person.id, &hash).await?;
    web.sessions().have_ended();
    web.note(&reader.caller, "changed", "their password").await;
    let cookie = session::begin(&web, &person, &headers).await?;
    let mut answer = reader.done(&links::settings(), Said::PasswordChanged);
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(answer)
}

/// `POST /settings/sign-out-everywhere`: all sessions but this one.
pub(crate) async fn sign_out_everywhere(State(web): State<Web>, reader: Reader) -> Result<Response, Failure> {
    let Caller::Person(it) = &reader.caller else { return Err(Failure::Forbidden) };
    web.app().store.revoke_sessions(it.person.id, Some(&it.digest)).await?;
    web.sessions().have_ended();
    Ok(reader.done(&links::settings(), Said::SignedOutElsewhere))
}

#[derive(serde::Deserialize)]
pub(crate) struct ChosenZone {
    #[serde(default)]
    zone: String,
}

/// `POST /settings/zone`
pub(crate) async fn set_zone(
    State(web): State<Web>,
    reader: Reader,
    Form(chosen): Form<ChosenZone>,
) -> Result<Response, Failure> {
    let zone = chosen.zone.trim();
    if !zone.is_empty() && zone_of(zone).is_none() {
        let complaint = format!("`{zone}` is no time zone; write it like Europe/Berlin.");
        return Ok(
            (StatusCode::UNPROCESSABLE_ENTITY, draw(&web, &reader, &[("zone", complaint)]).await?).into_response()
        );
    }
    let mut answer = reader.done(&links::settings(), Said::Saved);
    answer.headers_mut().append(header::SET_COOKIE, preference(ZONE, zone));
    Ok(answer)
}

#[derive(serde::Deserialize)]
pub(crate) struct Theme {
    #[serde(default)]
    theme: String,
    #[serde(default)]
    next: String,
}

/// `POST /theme`
pub(crate) async fn set_theme(Form(chosen): Form<Theme>) -> Response {
    let to = if links::is_ours(&chosen.next) { chosen.next.as_str() } else { "/" };
    let cookie = preference(THEME, theme_named(&chosen.theme).unwrap_or_default());
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// Programs have no profile.
fn own(reader: &Reader) -> Result<&Person, Failure> {
    reader.caller.person().ok_or(Failure::Forbidden)
}

/// A browser's name among all that it says of itself.
fn browser(agent: &str) -> String {
    let names = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    let name = names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    let systems = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"];
    let system = systems.iter().find(|system| agent.contains(**system));
    match (name, system) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        _ if agent.is_empty() => "unknown".to_owned(),
        _ => agent.chars().take(60).collect(),
    }
}

/// Offered while typing; every other zone is taken too.
const ZONES: [&str; 16] = [
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Zurich",
    "Europe/Oslo",
    "Europe/Kyiv",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
];
