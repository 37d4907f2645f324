//! Refusals as problem details (RFC 9457), with the fields named.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use watchbell_core::kind::Complaint;
use watchbell_store::StoreError;

use crate::engine::Refused;

/// A call that was not done, and why.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
}

/// The body of a refusal.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Body {
    /// A stable name of this sort of problem; `about:blank` where the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// What is wrong and what would work.
    detail: String,
    /// The fields it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// One field that cannot be as it is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FieldError {
    /// Dotted path in the body.
    field: String,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new() }
    }

    pub(super) fn missing(what: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no {what} `{name}`."))
    }

    pub(super) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::complaints(vec![Complaint::new(field, detail)])
    }

    /// Settings that parse but cannot work. There must be at least one complaint.
    pub(super) fn complaints(complaints: Vec<Complaint>) -> Self {
        let errors: Vec<FieldError> =
            complaints.into_iter().map(|it| FieldError { field: it.field, detail: it.sentence }).collect();
        let detail = errors.iter().map(|it| format!("{}: {}", it.field, it.detail)).collect::<Vec<_>>().join(" ");
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail, errors }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match &refused {
            Refused::NoMonitor(_) | Refused::NoChannel(_) => StatusCode::NOT_FOUND,
            Refused::FromFile(_) | Refused::Exists(_) | Refused::NoIncident(_) => StatusCode::CONFLICT,
            Refused::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::Store | Refused::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refused.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the database refused a question");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The database does not answer. Try again in a moment.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Refused"),
            status: self.status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        response
    }
}
