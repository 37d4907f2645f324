//! What tests of the web side stand on: a real server without monitors, callers of every sort, and monitors in any
//! state without a server.

pub(crate) mod sample;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use tokio::sync::watch;
use tower::ServiceExt;
use watchbell_core::Secret;
use watchbell_net::{Net, NetSettings};
use watchbell_notify::Sender;
use watchbell_store::{OpenSettings, Store};

use super::{Setup, Web, router};
use crate::app::{App, Settings};
use crate::clock::Clock;
use crate::engine::{self, FromFile};
use crate::live::Live;
use crate::seal::Seal;
use crate::telemetry::Own;

/// The token of the first run in tests.
pub(crate) const SETUP: &str = "first-run-token";
/// The first person of tests, and their password.
pub(crate) const PERSON: &str = "Ada Lindqvist";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A web side over a real engine and an empty store. Both end with the process.
pub(crate) async fn web() -> Web {
    let folder = tempfile::tempdir().unwrap().keep();
    let store = Store::open(OpenSettings::folder(&folder)).await.unwrap();
    let lease = store.acquire_lease("test").await.unwrap().unwrap();
    let net =
        Net::new(NetSettings { egress: watchbell_core::address::Egress::default(), nameservers: Vec::new() }).unwrap();
    let settings = Settings {
        base_url: "http://watch.example:8787".parse().unwrap(),
        ping_key: Secret::new("pingkey0pingkey0pingkey0"),
        defaults: crate::config::spec::Defaults::default(),
        fallback: None,
        retention: crate::config::spec::Retention::default(),
    };
    let (clock, live, own) = (Arc::new(Clock::start()), Arc::new(Live::new()), Arc::new(Own::default()));
    let (settings, problems) = (Arc::new(ArcSwap::from_pointee(settings)), Arc::default());
    let (stop, stopped) = watch::channel(false);
    // Nobody stops these servers; they end with the process.
    std::mem::forget(stop);
    let parts = engine::Parts {
        store: store.clone(),
        lease,
        live: Arc::clone(&live),
        clock: Arc::clone(&clock),
        net: net.clone(),
        own: Arc::clone(&own),
        seal: Arc::new(Seal::open(&folder).unwrap()),
        settings: Arc::clone(&settings),
        problems: Arc::clone(&problems),
        concurrency: 4,
        file: FromFile::default(),
    };
    let running = engine::start(parts, stopped).await.unwrap();
    let app = App {
        store,
        engine: running.handle,
        live,
        net: net.clone(),
        sender: Arc::new(Sender::new(net, None)),
        started_at: clock.now(),
        clock,
        settings,
        problems,
        own,
        deliver: running.deliver,
    };
    Web::new(Arc::new(app), Setup::new(Some(SETUP)))
}

/// The server as a browser meets it.
pub(crate) struct Browser {
    pub web: Web,
    router: Router,
    cookie: Option<String>,
}

/// What came back.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub(crate) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Browser {
    /// A browser before an empty server.
    pub(crate) async fn new() -> Self {
        let web = web().await;
        let router = router::routes(&web).finish();
        Self { web, router, cookie: None }
    }

    /// A browser with the first person signed in.
    pub(crate) async fn signed_in() -> Self {
        let mut browser = Self::new().await;
        let form = [("token", SETUP), ("name", PERSON), ("password", PASSWORD)];
        assert_eq!(browser.post("/setup", &form).await.status, StatusCode::SEE_OTHER);
        assert!(browser.cookie.is_some());
        browser
    }

    /// Another browser before the same server.
    pub(crate) fn stranger(&self) -> Self {
        Self { web: self.web.clone(), router: self.router.clone(), cookie: None }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, None, &[]).await
    }

    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.ask(Method::POST, path, Some(body), &[("sec-fetch-site", "same-origin")]).await
    }

    /// The body of an event stream, to be read piece by piece.
    pub(crate) async fn listen(&self, path: &str) -> Body {
        let cookie = self.cookie.clone().unwrap_or_default();
        let request = Request::builder().uri(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body()
    }

    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "watch.example:8787");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        for line in parts.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            if let Some(value) = line.strip_prefix("watchbell=") {
                let value = value.split(';').next().unwrap();
                self.cookie = (!value.is_empty()).then(|| format!("watchbell={value}"));
            }
        }
        let is_stream = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let body = if is_stream { Vec::new() } else { axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec() };
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }
}
