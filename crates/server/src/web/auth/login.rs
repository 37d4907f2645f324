//! Signing in and out.

use axum::extract::{Form, Query, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::{Caller, password, session};
use crate::web::error::Failure;
use crate::web::gate::{gate, password_field};
use crate::web::reader::Reader;
use crate::web::{Web, auth, links, parts, words};

#[derive(serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    next: String,
}

/// `GET /login`
pub(crate) async fn page(
    State(web): State<Web>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    if !web.setup().is_done(&web).await? {
        return Ok(Redirect::to(&links::setup()).into_response());
    }
    if reader.caller.person().is_some() {
        return Ok(Redirect::to(onwards(&asked.next)).into_response());
    }
    Ok(form(&reader, &asked.next, "", None).into_response())
}

#[derive(serde::Deserialize)]
pub(crate) struct Credentials {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /login`
pub(crate) async fn sign_in(
    State(web): State<Web>,
    reader: Reader,
    headers: HeaderMap,
    extensions: Extensions,
    Form(given): Form<Credentials>,
) -> Result<Response, Failure> {
    let now = web.app().clock.now();
    let name = given.name.trim();
    let address = auth::address(&headers, &extensions);
    if let Some(wait) = web.limiter().wait(address, name, now) {
        let seconds = wait.as_secs().max(1);
        let sentence =
            format!("Too many attempts. Try again in {}.", words::length(std::time::Duration::from_secs(seconds)));
        let page = form(&reader, &given.next, name, Some(&sentence));
        return Ok((StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())], page).into_response());
    }
    let person = web.app().store.person_by_name(name).await?;
    let stored = person.as_ref().map(|person| person.password_hash.clone());
    // A name that nobody has costs the same work and gets the same answer.
    let right = password::verify(given.password, stored).await;
    match person {
        Some(person) if right => {
            web.limiter().succeeded(name);
            let cookie = session::begin(&web, &person, &headers).await?;
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(onwards(&given.next))).into_response())
        }
        _ => {
            web.limiter().failed(address, name, now);
            let page = form(&reader, &given.next, name, Some("Name or password is not right."));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// `POST /logout`
pub(crate) async fn sign_out(State(web): State<Web>, reader: Reader, headers: HeaderMap) -> Result<Response, Failure> {
    if let Caller::Person(it) = &reader.caller {
        web.app().store.revoke_session(&it.digest).await?;
        web.sessions().have_ended();
    }
    Ok(([(header::SET_COOKIE, session::forget(&web, &headers))], Redirect::to(&links::login())).into_response())
}

/// Where to go after signing in.
fn onwards(next: &str) -> &str {
    if links::is_ours(next) { next } else { "/" }
}

fn form(reader: &Reader, next: &str, name: &str, complaint: Option<&str>) -> Markup {
    gate(
        reader,
        "Watchbell",
        "",
        html! {
            form.panel.gate-f.form action=(links::login()) method="post" {
                @if let Some(sentence) = complaint {
                    p.err #login-error role="alert" { (parts::small_glyph("down")) (sentence) }
                }
                @if links::is_ours(next) { input type="hidden" name="next" value=(next); }
                div.field {
                    label for="name" { "Name" }
                    input.inp #name name="name" value=(name) required maxlength="100" autocomplete="username" autofocus[name.is_empty()]
                        aria-describedby=[complaint.map(|_| "login-error")];
                }
                (password_field("password", "Password", "current-password", None))
                button.btn.primary.wide { "Sign in" }
            }
        },
    )
}
