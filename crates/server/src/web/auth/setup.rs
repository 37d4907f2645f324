//! First run: the link that the console prints once makes the first person. Whoever has no link learns where it is.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use watchbell_store::NewPerson;

use super::{ADMIN, password, session};
use crate::web::error::Failure;
use crate::web::gate::{gate, password_field};
use crate::web::reader::Reader;
use crate::web::{Web, links};

/// What is known of the first run.
pub(crate) struct Setup {
    token: Option<[u8; 32]>,
    done: AtomicBool,
}

impl Setup {
    /// `token` is part of the link that was printed; `None` if there are people already.
    pub(crate) fn new(token: Option<&str>) -> Self {
        Self { token: token.map(|token| Sha256::digest(token).into()), done: AtomicBool::new(false) }
    }

    /// The link to print at the first start.
    pub(crate) fn link(base_url: &url::Url, token: &str) -> String {
        let base = base_url.as_str().trim_end_matches('/');
        format!("{base}{}?token={token}", links::setup())
    }

    /// Whether there is somebody who can sign in. Once true it stays true.
    pub(crate) async fn is_done(&self, web: &Web) -> Result<bool, Failure> {
        if self.done.load(Ordering::Acquire) {
            return Ok(true);
        }
        let done = !web.app().store.persons().await?.is_empty();
        self.done.store(done, Ordering::Release);
        Ok(done)
    }

    fn accepts(&self, token: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(token).into();
        self.token.is_some_and(|known| known.ct_eq(&given).into())
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    token: String,
}

/// `GET /setup?token=…`
pub(crate) async fn page(
    State(web): State<Web>,
    reader: Reader,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    if web.setup().is_done(&web).await? {
        return Ok(Redirect::to(&links::login()).into_response());
    }
    if !web.setup().accepts(&asked.token) {
        return Ok(where_the_link_is(&reader, !asked.token.is_empty()).into_response());
    }
    Ok(form(&reader, &asked.token, "", &[]).into_response())
}

#[derive(serde::Deserialize)]
pub(crate) struct First {
    #[serde(default)]
    token: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
}

/// `POST /setup`
pub(crate) async fn create(
    State(web): State<Web>,
    reader: Reader,
    headers: HeaderMap,
    Form(first): Form<First>,
) -> Result<Response, Failure> {
    if web.setup().is_done(&web).await? {
        return Ok(Redirect::to(&links::login()).into_response());
    }
    if !web.setup().accepts(&first.token) {
        return Ok(where_the_link_is(&reader, true).into_response());
    }
    let name = first.name.trim();
    let complaints: Vec<(&str, String)> =
        [("name", name_complaint(name)), ("password", password::complaint(&first.password))]
            .into_iter()
            .filter_map(|(field, complaint)| Some((field, complaint?)))
            .collect();
    if !complaints.is_empty() {
        return Ok(form(&reader, &first.token, name, &complaints).into_response());
    }
    let password_hash = password::hash(first.password).await.ok_or(Failure::Busy)?;
    let person = NewPerson { name: name.to_owned(), password_hash, role: ADMIN.to_owned() };
    // The store makes at most one first person, however many ask at once.
    let made = web.app().store.create_first_person(&person, web.app().clock.now()).await?;
    web.setup().done.store(true, Ordering::Release);
    match made {
        Some(person) => {
            let cookie = session::begin(&web, &person, &headers).await?;
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&links::overview())).into_response())
        }
        None => Ok(Redirect::to(&links::login()).into_response()),
    }
}

/// What is wrong with a person's name, if anything.
pub(crate) fn name_complaint(name: &str) -> Option<String> {
    let fits = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    (!fits).then(|| "A name has 1 to 100 characters.".to_owned())
}

fn form(reader: &Reader, token: &str, name: &str, complaints: &[(&str, String)]) -> Markup {
    let of = |field: &str| complaints.iter().find(|(of, _)| *of == field).map(|(_, sentence)| sentence.as_str());
    gate(
        reader,
        "Welcome",
        "One person to begin with: you.",
        html! {
            form.panel.gate-f.form action=(links::setup()) method="post" {
                input type="hidden" name="token" value=(token);
                div.field {
                    label for="name" { "Your name" }
                    input.inp #name name="name" value=(name) required maxlength="100" autocomplete="username" autofocus
                        aria-invalid=[of("name").map(|_| "true")] aria-describedby=[of("name").map(|_| "name-error")];
                    @if let Some(sentence) = of("name") { (error(sentence, "name-error")) }
                }
                (password_field("password", "Password", "new-password", of("password")))
                p.hint {
                    "At least " (password::SHORTEST) " characters. A sentence is easy to remember and hard to guess."
                }
                button.btn.primary.wide { "Begin the watch" }
            }
        },
    )
}

fn error(sentence: &str, id: &str) -> Markup {
    html! { p.err id=(id) { (crate::web::parts::small_glyph("down")) (sentence) } }
}

fn where_the_link_is(reader: &Reader, wrong: bool) -> Markup {
    gate(
        reader,
        "Welcome",
        "Nobody has signed in here yet.",
        html! {
            div.panel.gate-f.form {
                @if wrong {
                    p.note.degraded {
                        (crate::web::parts::glyph("degraded", 16))
                        span {
                            b { "This link is not the one." } " It changes with every start until it has been used."
                        }
                    }
                }
                p {
                    "Watchbell printed a link to this page when it started, in its log: look at the terminal it runs in, or at "
                    code.mono { "journalctl -u watchbell" } ", or at the container's log."
                }
                p { "Open that link to make the first person." }
            }
        },
    )
}
