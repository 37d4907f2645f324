//! Everything that answers over HTTP: the console for people, the API and pings for programs. Pages are functions
//! of the committed view ([`crate::live`]) and the store; the same functions make a page and its live fragments.

mod api;
mod assets;
mod auth;
mod draw;
mod error;
mod filter;
mod form;
mod gate;
mod guard;
mod layout;
mod links;
mod metrics;
mod pages;
mod parts;
mod past;
mod ping;
mod reader;
mod router;
pub(crate) mod serve;
mod stream;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;

use crate::app::App;
use auth::limiter::Limiter;
use auth::session::Sessions;
pub(crate) use auth::setup::Setup;
use stream::Streams;

/// All routes, ready to be served. Serve them with `into_make_service_with_connect_info::<SocketAddr>()`: limits
/// count by address.
pub(crate) fn router(app: Arc<App>, setup: Setup) -> Router {
    let web = Web::new(app, setup);
    router::routes(&web).finish()
}

/// What handlers are given: the running server, and what the web side remembers itself.
#[derive(Clone)]
pub(crate) struct Web(Arc<Inner>);

struct Inner {
    app: Arc<App>,
    setup: Setup,
    limiter: Limiter,
    misses: ping::Misses,
    sessions: Sessions,
    streams: Streams,
}

impl Web {
    pub(crate) fn new(app: Arc<App>, setup: Setup) -> Self {
        let inner = Inner {
            app,
            setup,
            limiter: Limiter::default(),
            misses: ping::Misses::default(),
            sessions: Sessions::default(),
            streams: Streams::default(),
        };
        Self(Arc::new(inner))
    }

    pub(crate) fn app(&self) -> &App {
        &self.0.app
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.0.setup
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    pub(crate) fn misses(&self) -> &ping::Misses {
        &self.0.misses
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }
}

/// So that handlers which need nothing of the web side take `State<Arc<App>>`.
impl FromRef<Web> for Arc<App> {
    fn from_ref(web: &Web) -> Self {
        Self::clone(&web.0.app)
    }
}
