//! When something cannot be answered: a sentence for the person who asked, a reference for the log, and nothing of
//! what is inside. People get a page in the console's dress, programs get JSON.

use std::any::Any;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use watchbell_store::StoreError;

use super::auth::Caller;
use super::reader::Reader;
use super::{Web, gate, links, parts};
use crate::engine::Refused;
use crate::random;

/// Why a request was not answered as asked.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// There is nothing at this address.
    NotFound,
    WrongMethod,
    /// Signing in helps; where to go.
    SignIn(String),
    /// A token that does not open anything.
    Unauthorised,
    /// Known, but may not.
    Forbidden,
    /// Another site made the browser send it.
    ForeignForm,
    /// What was sent could not be understood.
    BadRequest(String),
    /// It was understood and cannot be done; the sentence says why.
    Refused(String),
    /// Too much at once.
    Busy,
    TooLarge,
    /// The database does not answer.
    Store {
        reference: String,
    },
    /// A mistake of ours.
    Ours {
        reference: String,
    },
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::SignIn(_) | Self::Unauthorised => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::ForeignForm => StatusCode::FORBIDDEN,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Busy | Self::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Ours { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What it is, in a few words.
    fn title(&self) -> &'static str {
        match self {
            Self::NotFound => "Nothing is here",
            Self::WrongMethod => "Not like that",
            Self::SignIn(_) | Self::Unauthorised => "Please sign in",
            Self::Forbidden => "You may look, not change",
            Self::ForeignForm => "This came from another site",
            Self::BadRequest(_) => "This could not be understood",
            Self::Refused(_) => "This cannot be done",
            Self::Busy => "Too much at once",
            Self::TooLarge => "Too large",
            Self::Store { .. } => "The database does not answer",
            Self::Ours { .. } => "Something broke on our side",
        }
    }

    /// What it means and what helps.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::NotFound => "There is no page at this address. It may have been renamed or deleted.".into(),
            Self::WrongMethod => "This address does not take that kind of request.".into(),
            Self::SignIn(_) => "Sign in to see this.".into(),
            Self::Unauthorised => {
                "The token or session does not open anything: it may have ended or been revoked.".into()
            }
            Self::Forbidden => "Your role does not allow this. Ask an administrator.".into(),
            Self::ForeignForm => {
                "Another site made your browser send this, so nothing was changed. Open the page here and try again."
                    .into()
            }
            Self::BadRequest(sentence) | Self::Refused(sentence) => sentence.clone(),
            Self::Busy => "Watchbell is busy; nothing was changed. Try again in a moment.".into(),
            Self::TooLarge => "What was sent is larger than one megabyte.".into(),
            Self::Store { reference } => format!(
                "Watching and alerting go on from memory as far as they can; this page cannot be made. Try again in a moment. Reference for the log: {reference}."
            ),
            Self::Ours { reference } => format!("The watch goes on. Reference for the log: {reference}."),
        }
    }

    /// The answer, for a program or for a page to be dressed.
    pub(crate) fn answer(self, api: bool) -> Response {
        match self {
            Self::SignIn(to) if !api => Redirect::to(&to).into_response(),
            failure if api => failure.as_json(),
            failure => failure.into_response(),
        }
    }

    /// As problem details (RFC 9457), like every refusal of the API.
    fn as_json(&self) -> Response {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or_default();
        let problem = serde_json::json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": self.sentence() });
        let kind = HeaderValue::from_static("application/problem+json");
        let mut answer = (status, [(header::CONTENT_TYPE, kind)], problem.to_string()).into_response();
        if status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut answer = self.status().into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let reference = random::letters(8);
        tracing::error!(%error, reference, "a page could not be made: the store");
        Self::Store { reference }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoMonitor(_) | Refused::NoChannel(_) => Self::NotFound,
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Whether the caller is a program that expects JSON.
pub(crate) fn is_api(path: &str) -> bool {
    path.starts_with("/api/")
}

pub(super) async fn not_found() -> Failure {
    Failure::NotFound
}

pub(super) async fn wrong_method() -> Failure {
    Failure::WrongMethod
}

/// What is left of a handler that panicked. The panic's text goes to the log only.
#[expect(clippy::needless_pass_by_value, reason = "the layer that catches panics gives them away")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let reference = random::letters(8);
    let text =
        panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(panic = text.as_deref().unwrap_or("without words"), reference, "a request panicked");
    let page = plain(&Failure::Ours { reference });
    (StatusCode::INTERNAL_SERVER_ERROR, page).into_response()
}

/// Gives failures their page, or their JSON.
pub(super) async fn dress(State(web): State<Web>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let here = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let answer = next.run(request).await;
    let bare = || {
        let status = answer.status();
        let undressed = (status.is_client_error() || status.is_server_error())
            && !answer.headers().contains_key(header::CONTENT_TYPE);
        let plain =
            answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Some(Failure::TooLarge),
            StatusCode::SERVICE_UNAVAILABLE if undressed => Some(Failure::Busy),
            // The framework's own words for a body or query it could not read.
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::UNSUPPORTED_MEDIA_TYPE
                if plain && !is_machine(&here) =>
            {
                Some(Failure::BadRequest(
                    "What was sent could not be read. Go back, reload the page and try again.".into(),
                ))
            }
            _ => None,
        }
    };
    let Some(failure) = answer.extensions().get::<Failure>().cloned().or_else(bare) else { return answer };
    if is_api(&here) {
        return failure.as_json();
    }
    let reader = Reader::of(&web, &headers, Caller::Nobody, &here);
    if reader.script {
        return failure.as_json();
    }
    (failure.status(), page(&reader, &failure)).into_response()
}

/// Programs read their answers themselves.
fn is_machine(path: &str) -> bool {
    path.starts_with("/ping/")
        || path.starts_with("/metrics")
        || path.starts_with("/healthz")
        || path.starts_with("/assets/")
}

fn page(reader: &Reader, failure: &Failure) -> Markup {
    gate::gate(
        reader,
        failure.title(),
        "",
        html! {
            div.panel.gate-f.form {
                p { (failure.sentence()) }
                div.row {
                    a.btn.primary href=(links::overview()) { (parts::icon("overview")) "Overview" }
                    @if matches!(failure, Failure::Unauthorised) { a.btn href=(links::login()) { "Sign in" } }
                }
            }
        },
    )
}

/// A page that needs nothing, for when the rest may be broken.
fn plain(failure: &Failure) -> Markup {
    html! {
        (maud::DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (failure.title()) " · Watchbell" } }
            body { h1 { (failure.title()) } p { (failure.sentence()) } p { a href=(links::overview()) { "Overview" } } }
        }
    }
}
