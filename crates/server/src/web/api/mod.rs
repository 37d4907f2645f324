//! `/api/v1`: everything the console can do, for programs. A file per resource: its shapes, its handlers.
//!
//! One line in [`endpoints`] both routes a call and describes it, so that the OpenAPI document at
//! `/api/v1/openapi.json` cannot say anything else than what is served.

use axum::http::{Method, header};
use watchbell_store::NewAudit;

use super::Web;
use super::auth::Caller;
use super::auth::Permission::{Editor, Viewer};
use super::router::Routes;

mod channels;
mod deliveries;
mod describe;
mod incidents;
mod input;
mod monitors;
mod pings;
mod problem;
mod system;

use describe::{Api, doc};
pub(super) use pings::{Ping, as_text};

/// Every call, one line each.
fn endpoints(api: Api) -> Api {
    api.get(
        "/api/v1/status",
        Viewer,
        doc("Counts by state, problems, our own health").gives::<system::Status>(),
        system::status,
    )
    .get(
        "/api/v1/problems",
        Viewer,
        doc("What is configured and cannot be used").gives::<Vec<crate::app::Problem>>(),
        system::problems,
    )
    .get(
        "/api/v1/monitors",
        Viewer,
        doc("List monitors").query::<monitors::Filter>().gives::<monitors::List>(),
        monitors::list,
    )
    .post(
        "/api/v1/monitors",
        Editor,
        doc("Make a monitor").takes::<monitors::NewMonitor>().makes::<monitors::Monitor>(),
        monitors::create,
    )
    .get("/api/v1/monitors/{slug}", Viewer, doc("Read a monitor").gives::<monitors::Monitor>(), monitors::read)
    .put(
        "/api/v1/monitors/{slug}",
        Editor,
        doc("Replace a monitor's settings, or make it")
            .takes::<crate::config::spec::MonitorSpec>()
            .gives::<monitors::Monitor>(),
        monitors::replace,
    )
    .patch(
        "/api/v1/monitors/{slug}",
        Editor,
        doc("Change some settings (JSON merge patch, RFC 7396)")
            .takes::<serde_json::Value>()
            .gives::<monitors::Monitor>(),
        monitors::patch,
    )
    .delete("/api/v1/monitors/{slug}", Editor, doc("Delete a monitor with its history"), monitors::delete)
    .post("/api/v1/monitors/{slug}/pause", Editor, doc("Pause a monitor").gives::<monitors::Monitor>(), monitors::pause)
    .post(
        "/api/v1/monitors/{slug}/resume",
        Editor,
        doc("Resume a monitor").gives::<monitors::Monitor>(),
        monitors::resume,
    )
    .slow_post(
        "/api/v1/monitors/{slug}/check",
        Editor,
        doc("Check now; the result counts").gives::<monitors::Checked>(),
        monitors::check,
    )
    .post(
        "/api/v1/monitors/{slug}/acknowledge",
        Editor,
        doc("Take the open incident in hand").takes_if_any::<monitors::Note>().gives::<monitors::Monitor>(),
        monitors::acknowledge,
    )
    .get(
        "/api/v1/monitors/{slug}/results",
        Viewer,
        doc("Results of a window, newest first").query::<monitors::Window>().gives::<Vec<monitors::Result>>(),
        monitors::results,
    )
    .get(
        "/api/v1/monitors/{slug}/pings",
        Viewer,
        doc("The run log of a heartbeat, newest first").query::<pings::Window>().gives::<Vec<Ping>>(),
        pings::list,
    )
    .get("/api/v1/monitors/{slug}/pings/{n}/body", Viewer, doc("What came along with a ping, as text"), pings::body)
    .get(
        "/api/v1/incidents",
        Viewer,
        doc("List incidents, newest first").query::<incidents::Filter>().gives::<incidents::List>(),
        incidents::list,
    )
    .get(
        "/api/v1/incidents/{id}",
        Viewer,
        doc("Read an incident with its transitions").gives::<incidents::Whole>(),
        incidents::read,
    )
    .get("/api/v1/channels", Viewer, doc("List channels").gives::<Vec<channels::Channel>>(), channels::list)
    .post(
        "/api/v1/channels",
        Editor,
        doc("Make a channel").takes::<channels::NewChannel>().makes::<channels::Channel>(),
        channels::create,
    )
    .get("/api/v1/channels/{slug}", Viewer, doc("Read a channel").gives::<channels::Channel>(), channels::read)
    .put(
        "/api/v1/channels/{slug}",
        Editor,
        doc("Replace a channel's settings, or make it")
            .takes::<watchbell_notify::Channel>()
            .gives::<channels::Channel>(),
        channels::replace,
    )
    .delete("/api/v1/channels/{slug}", Editor, doc("Delete a channel"), channels::delete)
    .slow_post(
        "/api/v1/channels/{slug}/test",
        Editor,
        doc("Send a test message and show the answer").gives::<channels::Tested>(),
        channels::test,
    )
    .get(
        "/api/v1/deliveries",
        Viewer,
        doc("List deliveries, newest first").query::<deliveries::Filter>().gives::<deliveries::List>(),
        deliveries::list,
    )
    .get(
        "/api/v1/deliveries/{id}",
        Viewer,
        doc("Read a delivery with its tries").gives::<deliveries::Whole>(),
        deliveries::read,
    )
    .post(
        "/api/v1/deliveries/{id}/retry",
        Editor,
        doc("Send a delivery that was given up once more, with the same key").gives::<deliveries::Whole>(),
        deliveries::retry,
    )
}

/// Adds the API to the router.
pub(super) fn routes(routes: Routes) -> Routes {
    let (routes, document) = endpoints(Api::new(routes)).finish();
    routes.get("/api/v1/openapi.json", super::auth::Permission::Machine, move || async move {
        ([(header::CONTENT_TYPE, "application/json")], document)
    })
}

/// The methods that may carry a body.
const fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

impl Web {
    /// Writes into the audit log who did what. That it could not be written stops nobody's work.
    pub(super) async fn note(&self, caller: &Caller, action: &str, object: &str) {
        let entry = NewAudit {
            who: caller.name().to_owned(),
            action: action.to_owned(),
            object: object.to_owned(),
            detail: String::new(),
        };
        if let Err(why) = self.app().store.append_audit(self.app().clock.now(), &entry).await {
            tracing::warn!(%why, "the audit log could not be written");
        }
    }
}
