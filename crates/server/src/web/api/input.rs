//! Bodies and query parameters, read so that a mistake is answered with the field's name.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use watchbell_core::Slug;

use super::problem::Problem;

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|why| Problem::new(why.status(), "The body could not be read; at most 1 MiB is taken."))?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may be left out.
pub(super) struct BodyIfAny<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for BodyIfAny<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|why| Problem::new(why.status(), "The body could not be read; at most 1 MiB is taken."))?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&bytes).map(Self) }
    }
}

/// Parameters behind the question mark.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(value)| Self(value)).map_err(|why| {
            Problem::new(StatusCode::BAD_REQUEST, format!("The address is not understood: {}", why.body_text()))
        })
    }
}

/// Reads JSON; an error names the field.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        let sentence = error.to_string();
        if field == "." || error.is_syntax() || error.is_eof() {
            Problem::new(StatusCode::BAD_REQUEST, sentence)
        } else {
            Problem::field(field, sentence)
        }
    })?;
    reader.end().map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why.to_string()))?;
    Ok(value)
}

/// A slug from a path.
pub(super) fn slug(text: &str) -> Result<Slug, Problem> {
    text.parse().map_err(|why: String| Problem::new(StatusCode::NOT_FOUND, why))
}
