//! `/metrics` in the Prometheus text format (version 0.0.4), written straight from the live view at scrape
//! time: one family per fact of a monitor, and our own figures. `/healthz` says whether we are of use at all.
//!
//! Loopback may read without a token; others need a read token.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use watchbell_core::Verdict;

use crate::app::App;
use crate::live::{Shown, Watched};
use crate::telemetry::LATENESS_BOUNDS_MS;

pub(crate) async fn page(State(app): State<Arc<App>>) -> Response {
    let mut monitors = app.live.monitors();
    monitors.sort_unstable_by(|a, b| a.fixed.slug.cmp(&b.fixed.slug));
    let mut text = String::with_capacity(4096 + monitors.len() * 900);
    write_monitors(&mut text, &monitors);
    write_own(&mut text, &app);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// The engine goes round at least once a second, unless the database keeps it.
const STUCK: Duration = Duration::from_secs(30);

/// 200 while the engine turns and the store answers, 503 otherwise.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    if app.clock.now().since(app.own.turned_at()) > STUCK {
        return (StatusCode::SERVICE_UNAVAILABLE, "the engine does not turn; see the log\n").into_response();
    }
    match app.store.lease_holder().await {
        Ok(_) => (StatusCode::OK, "ok\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

/// A family's head. `kind` is `gauge`, `counter` or `histogram`.
fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn write_monitors(text: &mut String, monitors: &[Watched]) {
    let labels: Vec<String> = monitors.iter().map(labels).collect();
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Watched) -> Option<f64>| {
        head(text, name, kind, help);
        for (monitor, labels) in monitors.iter().zip(&labels) {
            if let Some(value) = value(monitor) {
                let _ = writeln!(text, "{name}{{{labels}}} {value}");
            }
        }
    };
    family(
        "watchbell_monitor_up",
        "gauge",
        "1 if the monitor is up or degraded, 0 if it is down; absent while unknown.",
        &|it| match it.state.verdict {
            Verdict::Up | Verdict::Degraded if !it.state.paused => Some(1.0),
            Verdict::Down => Some(0.0),
            _ => None,
        },
    );
    family("watchbell_monitor_degraded", "gauge", "1 if the monitor answers slowly.", &|it| {
        Some(f64::from(u8::from(it.shown() == Shown::Degraded)))
    });
    family("watchbell_monitor_paused", "gauge", "1 if the monitor is paused.", &|it| {
        Some(f64::from(u8::from(it.state.paused)))
    });
    family("watchbell_monitor_state_since_seconds", "gauge", "Since when the state holds, Unix time.", &|it| {
        Some(it.state.since.as_millis() as f64 / 1000.0)
    });
    family("watchbell_monitor_response_time_seconds", "gauge", "How long the last check took.", &|it| {
        it.last.as_ref().map(|last| last.took.as_secs_f64())
    });
    family("watchbell_monitor_certificate_expiry_seconds", "gauge", "When the certificate ends, Unix time.", &|it| {
        it.last.as_ref().and_then(|last| last.expires_at).map(|moment| moment.as_millis() as f64 / 1000.0)
    });
    family("watchbell_monitor_last_check_seconds", "gauge", "When the last check began, Unix time.", &|it| {
        it.last.as_ref().map(|last| last.at.as_millis() as f64 / 1000.0)
    });
    family("watchbell_monitor_checks_total", "counter", "Checks and pings since this process began.", &|it| {
        Some(it.checks as f64)
    });
    family("watchbell_monitor_incidents_total", "counter", "Incidents opened since this process began.", &|it| {
        Some(it.incidents as f64)
    });
    let name = "watchbell_monitor_phase_seconds";
    head(text, name, "gauge", "Where the time of the last check went.");
    for (monitor, labels) in monitors.iter().zip(&labels) {
        for (phase, micros) in monitor.last.iter().flat_map(|last| last.phases.each()) {
            let _ = writeln!(
                text,
                "{name}{{{labels},phase=\"{}\"}} {}",
                phase.to_lowercase(),
                f64::from(micros) / 1_000_000.0
            );
        }
    }
}

fn labels(monitor: &Watched) -> String {
    let fixed = &monitor.fixed;
    format!(
        "monitor=\"{}\",name=\"{}\",group=\"{}\",kind=\"{}\"",
        fixed.slug,
        escaped(fixed.title()),
        escaped(fixed.spec.group.as_deref().unwrap_or_default()),
        fixed.spec.kind()
    )
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn write_own(text: &mut String, app: &App) {
    let own = &app.own;
    let name = "watchbell_check_lateness_seconds";
    head(text, name, "histogram", "How late checks began.");
    let (counts, total, sum) = own.lateness();
    for (bound, count) in LATENESS_BOUNDS_MS.iter().zip(&counts) {
        let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {count}", *bound as f64 / 1000.0);
    }
    let _ = write!(text, "{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {sum}\n{name}_count {total}\n");
    let now = app.clock.now();
    let oldest = own.oldest_waiting().map_or(0.0, |since| now.since(since).as_secs_f64());
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let level = |gauge: &std::sync::atomic::AtomicI64| gauge.load(Ordering::Relaxed) as f64;
    for (name, kind, help, value) in [
        ("watchbell_checks_total", "counter", "Checks begun.", count(&own.checks)),
        ("watchbell_pings_total", "counter", "Pings heard and stored.", count(&own.pings)),
        ("watchbell_checks_missed_total", "counter", "Moments that passed without a look.", count(&own.missed)),
        ("watchbell_checks_in_flight", "gauge", "Checks under way.", level(&own.in_flight)),
        ("watchbell_intake_waiting", "gauge", "Results that wait to be decided.", level(&own.intake)),
        ("watchbell_incidents_total", "counter", "Incidents opened.", count(&own.incidents)),
        ("watchbell_commits_total", "counter", "Commits to the database.", count(&own.commits)),
        (
            "watchbell_commit_failures_total",
            "counter",
            "Commits that failed and were tried again.",
            count(&own.commit_failures),
        ),
        ("watchbell_commit_seconds_total", "counter", "Time spent committing.", count(&own.commit_us) / 1_000_000.0),
        ("watchbell_deliveries_done_total", "counter", "Messages delivered.", count(&own.deliveries_done)),
        (
            "watchbell_deliveries_retried_total",
            "counter",
            "Tries that failed and will be repeated.",
            count(&own.deliveries_retried),
        ),
        ("watchbell_deliveries_dead_total", "counter", "Messages given up.", count(&own.deliveries_dead)),
        (
            "watchbell_deliveries_waiting",
            "gauge",
            "Messages that wait to be delivered.",
            level(&own.deliveries_waiting),
        ),
        ("watchbell_delivery_oldest_seconds", "gauge", "Age of the oldest message that waits.", oldest),
        ("watchbell_problems", "gauge", "Things configured that cannot be used.", app.problems.all().len() as f64),
        (
            "watchbell_up_since_seconds",
            "gauge",
            "When this process began, Unix time.",
            app.started_at.as_millis() as f64 / 1000.0,
        ),
    ] {
        head(text, name, kind, help);
        let _ = writeln!(text, "{name} {value}");
    }
}
