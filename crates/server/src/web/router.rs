//! Every route, one line each, grouped by who calls. A route cannot be added without saying who may call it:
//! [`Routes`] offers no other way.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::MethodFilter;
use axum::routing::{MethodRouter, on};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::auth::{self, Permission};
use super::pages::{
    about, alerting, channel, deliveries, edit, heartbeats, incident, incidents, monitor, overview, problems, profile,
    tokens,
};
use super::{Web, api, assets, error, guard, metrics, ping, stream};

/// No request needs more, besides what a job sends along with its ping.
const LARGEST_BODY: usize = 1024 * 1024;
/// A page that takes longer has failed.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Asking a target or a provider once may take longer.
const ASKING_TIMEOUT: Duration = Duration::from_secs(100);

pub(super) fn routes(web: &Web) -> Routes {
    let routes = Routes::new(web.clone());
    api::routes(console(programs(routes)))
}

/// Jobs, Prometheus, load balancers, browsers fetching a stylesheet. Cookies mean nothing here.
fn programs(routes: Routes) -> Routes {
    routes
        .any("/ping/{id}", Permission::Machine, ping::by_id)
        .any("/ping/{id}/", Permission::Machine, ping::by_id)
        .any("/ping/{first}/{second}", Permission::Machine, ping::by_two)
        .any("/ping/{key}/{slug}/{suffix}", Permission::Machine, ping::by_three)
        .any("/api/push/{token}", Permission::Machine, ping::push)
        .any("/api/v1/endpoints/{key}/external", Permission::Machine, ping::external)
        .get("/metrics", Permission::Metrics, metrics::page)
        .get("/healthz", Permission::Machine, metrics::health)
        .get("/assets/{name}", Permission::Machine, assets::serve)
}

/// People.
fn console(routes: Routes) -> Routes {
    routes
        .get("/", Permission::Viewer, overview::page)
        .get("/heartbeats", Permission::Viewer, heartbeats::page)
        .get("/monitors/{slug}", Permission::Viewer, monitor::page)
        .get("/monitors/{slug}/pings.ndjson", Permission::Viewer, monitor::download)
        .get("/monitors/{slug}/pings/{n}", Permission::Viewer, monitor::body)
        .slow_post("/monitors/{slug}/check", Permission::Editor, monitor::check)
        .post("/monitors/{slug}/pause", Permission::Editor, monitor::pause)
        .post("/monitors/{slug}/resume", Permission::Editor, monitor::resume)
        .post("/monitors/{slug}/acknowledge", Permission::Editor, monitor::acknowledge)
        .get("/monitors/{slug}/edit", Permission::Editor, edit::form)
        .slow_post("/monitors/{slug}/edit", Permission::Editor, edit::save)
        .get("/monitors/{slug}/duplicate", Permission::Editor, edit::duplicate)
        .get("/monitors/{slug}/delete", Permission::Editor, edit::confirm_delete)
        .post("/monitors/{slug}/delete", Permission::Editor, edit::delete)
        .get("/new", Permission::Editor, edit::new)
        .slow_post("/new", Permission::Editor, edit::create)
        .get("/incidents", Permission::Viewer, incidents::page)
        .get("/incidents/{id}", Permission::Viewer, incident::page)
        .get("/alerting", Permission::Viewer, alerting::page)
        .get("/alerting/new", Permission::Editor, channel::new)
        .slow_post("/alerting/new", Permission::Editor, channel::create)
        .get("/alerting/channels/{slug}", Permission::Editor, channel::form)
        .slow_post("/alerting/channels/{slug}", Permission::Editor, channel::save)
        .slow_post("/alerting/channels/{slug}/test", Permission::Editor, channel::test)
        .get("/alerting/channels/{slug}/delete", Permission::Editor, channel::confirm_delete)
        .post("/alerting/channels/{slug}/delete", Permission::Editor, channel::delete)
        .get("/alerting/deliveries", Permission::Viewer, deliveries::page)
        .post("/alerting/deliveries/{id}/retry", Permission::Editor, deliveries::retry)
        .get("/problems", Permission::Viewer, problems::page)
        .get("/settings", Permission::Viewer, profile::page)
        .post("/settings/password", Permission::Viewer, profile::change_password)
        .post("/settings/zone", Permission::Viewer, profile::set_zone)
        .post("/settings/sign-out-everywhere", Permission::Viewer, profile::sign_out_everywhere)
        .get("/settings/tokens", Permission::Editor, tokens::page)
        .post("/settings/tokens", Permission::Editor, tokens::create)
        .post("/settings/tokens/{id}/revoke", Permission::Editor, tokens::revoke)
        .get("/settings/about", Permission::Viewer, about::page)
        .stream("/live", Permission::Viewer, stream::live)
        .post("/theme", Permission::Anyone, profile::set_theme)
        .get("/login", Permission::Anyone, auth::login::page)
        .post("/login", Permission::Anyone, auth::login::sign_in)
        .post("/logout", Permission::Anyone, auth::login::sign_out)
        .get("/setup", Permission::Anyone, auth::setup::page)
        .post("/setup", Permission::Anyone, auth::setup::create)
}

/// Routes with, each, who may call it.
pub(crate) struct Routes {
    web: Web,
    router: Router<Web>,
    table: Vec<Declared>,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub method: Method,
    pub path: &'static str,
    pub permission: Permission,
}

impl Routes {
    fn new(web: Web) -> Self {
        Self { web, router: Router::new(), table: Vec::new() }
    }

    pub(crate) fn get<H: Handler<T, Web>, T: 'static>(self, path: &'static str, who: Permission, handler: H) -> Self {
        self.route(Method::GET, path, who, Some(PAGE_TIMEOUT), handler)
    }

    pub(crate) fn post<H: Handler<T, Web>, T: 'static>(self, path: &'static str, who: Permission, handler: H) -> Self {
        self.route(Method::POST, path, who, Some(PAGE_TIMEOUT), handler)
    }

    pub(crate) fn put<H: Handler<T, Web>, T: 'static>(self, path: &'static str, who: Permission, handler: H) -> Self {
        self.route(Method::PUT, path, who, Some(PAGE_TIMEOUT), handler)
    }

    pub(crate) fn patch<H: Handler<T, Web>, T: 'static>(self, path: &'static str, who: Permission, handler: H) -> Self {
        self.route(Method::PATCH, path, who, Some(PAGE_TIMEOUT), handler)
    }

    pub(crate) fn delete<H: Handler<T, Web>, T: 'static>(
        self,
        path: &'static str,
        who: Permission,
        handler: H,
    ) -> Self {
        self.route(Method::DELETE, path, who, Some(PAGE_TIMEOUT), handler)
    }

    /// A POST that asks a target or a provider before it answers.
    pub(crate) fn slow_post<H: Handler<T, Web>, T: 'static>(
        self,
        path: &'static str,
        who: Permission,
        handler: H,
    ) -> Self {
        self.route(Method::POST, path, who, Some(ASKING_TIMEOUT), handler)
    }

    /// A GET whose answer goes on for as long as somebody listens.
    pub(crate) fn stream<H: Handler<T, Web>, T: 'static>(
        self,
        path: &'static str,
        who: Permission,
        handler: H,
    ) -> Self {
        self.route(Method::GET, path, who, None, handler)
    }

    /// GET, HEAD, POST and whatever else programs call with, and a body of any length: the handler sees to it
    /// itself that it does not read too much.
    fn any<H: Handler<T, Web> + Clone, T: 'static>(mut self, path: &'static str, who: Permission, handler: H) -> Self {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH] {
            self = self.add(method, path, who, Some(PAGE_TIMEOUT), None, handler.clone());
        }
        self.add(Method::DELETE, path, who, Some(PAGE_TIMEOUT), None, handler)
    }

    fn route<H, T>(
        self,
        method: Method,
        path: &'static str,
        who: Permission,
        patience: Option<Duration>,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Web>,
        T: 'static,
    {
        self.add(method, path, who, patience, Some(LARGEST_BODY), handler)
    }

    fn add<H, T>(
        mut self,
        method: Method,
        path: &'static str,
        who: Permission,
        patience: Option<Duration>,
        largest: Option<usize>,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Web>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("only methods that can be routed are offered above");
        let mut route: MethodRouter<Web> =
            on(filter, handler).route_layer(from_fn_with_state((self.web.clone(), who), guard::require));
        if let Some(patience) = patience {
            route = route.route_layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, patience));
        }
        if let Some(largest) = largest {
            route = route.route_layer(RequestBodyLimitLayer::new(largest));
        }
        self.router = self.router.route(path, route);
        self.table.push(Declared { method, path, permission: who });
        self
    }

    /// Who may call what.
    #[cfg(test)]
    pub(super) fn table(&self) -> &[Declared] {
        &self.table
    }

    /// The whole, with what surrounds every answer.
    pub(super) fn finish(self) -> Router {
        for Declared { method, path, permission } in &self.table {
            tracing::trace!(%method, path, ?permission, "a route");
        }
        self.router
            .fallback(error::not_found)
            .method_not_allowed_fallback(error::wrong_method)
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .layer(from_fn_with_state(self.web.clone(), error::dress))
            .layer(CatchPanicLayer::custom(error::panicked))
            .layer(from_fn(guard::headers))
            .layer(CompressionLayer::new())
            .with_state(self.web)
    }
}
