//! What every request passes: who may call, whether a browser was made to send it by another site, and the
//! headers that keep a page from being used against its reader.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::auth::{self, Caller, Permission};
use super::error::Failure;
use super::{Web, error};

/// Lets through whom the route was declared for, and puts the [`Caller`] beside the request.
pub(super) async fn require(
    State((web, permission)): State<(Web, Permission)>,
    request: Request,
    next: Next,
) -> Response {
    if permission == Permission::Machine {
        return next.run(request).await;
    }
    // A body may not be shared between threads, and so may not be held while we wait; the rest may.
    let (mut parts, body) = request.into_parts();
    let api = error::is_api(parts.uri.path());
    if !parts.method.is_safe() && !is_own_form(&web, &parts.headers, &parts.method) {
        return Failure::ForeignForm.answer(api);
    }
    let caller = match auth::identify(&web, &parts.headers, &parts.extensions).await {
        Ok(caller) => caller,
        Err(failure) => return failure.answer(api),
    };
    if let Err(refusal) = auth::admit(&web, &caller, permission, &parts).await {
        return refusal.answer(api);
    }
    parts.extensions.insert::<Caller>(caller);
    next.run(Request::from_parts(parts, body)).await
}

/// Whether an unsafe request comes from one of our own pages, or from a program that carries no cookie.
///
/// Browsers say so themselves in `Sec-Fetch-Site`, older ones in `Origin`; a cookie without either is refused.
fn is_own_form(web: &Web, headers: &HeaderMap, method: &Method) -> bool {
    debug_assert!(!method.is_safe());
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    let asked = [HeaderName::from_static("x-forwarded-host"), header::HOST].map(text);
    let settings = web.app().settings.load();
    let configured = &settings.base_url;
    let is_ours = |origin: &str| {
        let Ok(origin) = url::Url::parse(origin) else { return false };
        let place = host_and_port(&origin);
        place.is_some()
            && (asked.iter().flatten().any(|host| Some(*host) == place.as_deref())
                || place == host_and_port(configured))
    };
    match (text(header::ORIGIN), text(header::REFERER)) {
        (Some(origin), _) => is_ours(origin),
        (None, Some(referer)) => is_ours(referer),
        (None, None) => !headers.contains_key(header::COOKIE),
    }
}

/// As a `Host` header says it: the port only where it is not the scheme's own.
fn host_and_port(url: &url::Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Adds the headers of every answer. What a handler has set stays.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing;

    #[tokio::test]
    async fn only_our_own_forms_are_taken() {
        let web = testing::web().await;
        let check = |lines: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("watch.example:8787"));
            for (name, value) in lines {
                headers.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
            }
            is_own_form(&web, &headers, &Method::POST)
        };
        assert!(check(&[("sec-fetch-site", "same-origin"), ("cookie", "a=b")]));
        assert!(check(&[("origin", "http://watch.example:8787"), ("cookie", "a=b")]));
        assert!(check(&[
            ("origin", "https://front.example"),
            ("x-forwarded-host", "front.example"),
            ("cookie", "a=b")
        ]));
        assert!(check(&[("referer", "http://watch.example:8787/new"), ("cookie", "a=b")]));
        assert!(check(&[]), "a program without a cookie");

        assert!(!check(&[("sec-fetch-site", "cross-site"), ("cookie", "a=b")]));
        assert!(!check(&[("sec-fetch-site", "same-site"), ("cookie", "a=b")]));
        assert!(!check(&[("sec-fetch-site", "cross-site"), ("origin", "http://watch.example:8787")]));
        assert!(!check(&[("origin", "http://evil.example")]));
        assert!(!check(&[("origin", "http://watch.example"), ("cookie", "a=b")]), "another port is another place");
        assert!(!check(&[("origin", "null"), ("cookie", "a=b")]));
        assert!(!check(&[("cookie", "a=b")]));
    }
}
