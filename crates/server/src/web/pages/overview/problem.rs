//! One problem in a row: shape, name and cause, since when, who knows, what to do.

use maud::{Markup, html};
use watchbell_core::Slug;

use super::group_of;
use crate::live::{Shown, Watched};
use crate::web::reader::Reader;
use crate::web::{links, parts, words};

/// One problem: shape, name and cause, since when, who knows, what to do.
pub(super) fn problem(watched: &Watched, reader: &Reader, slim: bool, first: bool) -> Markup {
    let shown = watched.shown();
    let loud = shown == Shown::Down && watched.acknowledged.is_none();
    let since = watched.state.since;
    html! {
        div.problem.loud[loud].slim[slim] {
            (parts::glyph(shown.class(), if slim { 20 } else { 28 }))
            div.what {
                div.name {
                    span.sr { (shown.word()) ": " }
                    a.clip.quiet href=(links::monitor(&watched.fixed.slug)) { (watched.fixed.title()) }
                    @if !group_of(watched).is_empty() { span.grp { (group_of(watched)) } }
                }
                div.why {
                    (words::sentence(&cause(watched)))
                    @if !slim && shown == Shown::Unknown { " It may be fine: we could not ask." }
                }
            }
            div.since {
                b { (reader.calendar.age(since)) }
                @if !slim { span { "since " (reader.calendar.time(since)) } }
            }
            (who(watched, reader, slim))
            div.acts { @if reader.is_editor() { (acts(watched, slim, first)) } }
        }
    }
}

/// Who has it, or that nobody has, and who was told.
fn who(watched: &Watched, reader: &Reader, slim: bool) -> Markup {
    let told = told(watched);
    html! {
        div.who {
            @if let Some(it) = &watched.acknowledged {
                (parts::avatar(&it.by, slim))
                div {
                    span { (it.by) ", " (reader.calendar.age(it.at)) " ago" }
                    @if !it.note.is_empty() && !slim { small.clip { "“" (it.note) "”" } }
                }
            } @else if watched.shown() == Shown::Down {
                span.av.none.sm[slim] aria-hidden="true" { "?" }
                div { span.down-t.b { "Nobody has it" } @if !slim { small.clip { (told) } } }
            } @else {
                span.av.wait.sm[slim] aria-hidden="true" { "–" }
                div {
                    span.i2 {
                        @if told.starts_with("Told") { "Nobody needs to act yet" } @else { "Not told to anyone" }
                    }
                    @if !slim { small.clip { (told) } }
                }
            }
        }
    }
}

/// Who was told of what is wrong, or why nobody was.
pub(crate) fn told(watched: &Watched) -> String {
    let state = &watched.state;
    let heard = match (&state.incident, &state.told_degraded) {
        (Some(incident), _) => Some(&incident.told),
        (None, Some(told)) => Some(told),
        (None, None) => None,
    };
    match heard {
        Some(told) if !told.is_empty() => {
            let names: Vec<&str> = told.iter().map(Slug::as_str).collect();
            format!("Told: {}", words::listed(&names))
        }
        _ if watched.fixed.notify.is_empty() => "No channel is named for it".to_owned(),
        Some(_) => "Nobody was told".to_owned(),
        None if watched.shown() == Shown::Unknown => "What we cannot see is not told as down".to_owned(),
        None => "Nobody was told yet".to_owned(),
    }
}

fn acts(watched: &Watched, slim: bool, first: bool) -> Markup {
    let slug = &watched.fixed.slug;
    let owned = watched.state.incident.is_none() || watched.acknowledged.is_some();
    let size = if slim { "sm" } else { "" };
    html! {
        @if !owned {
            (parts::post(&links::monitor_action(slug, "acknowledge"), &format!("{size} {}", if first { "primary" } else { "" }),
                &html! { (parts::icon("ack")) "Acknowledge" }))
        }
        @if watched.fixed.spec.probe.is_some() {
            @if owned {
                (parts::post(&links::monitor_action(slug, "check"), size, &html! { (parts::icon("again")) "Check now" }))
            } @else {
                (parts::post(&links::monitor_action(slug, "check"), &format!("icon twin {size}"), &html! { (parts::icon("again")) span.twin-w { "Check now" } }))
            }
        } @else {
            a.btn.(size) href=(links::monitor(slug)) { "Open" }
        }
    }
}

/// Why it is as it is, in a phrase.
pub(crate) fn cause(watched: &Watched) -> String {
    let state = &watched.state;
    let reason = state
        .incident
        .as_ref()
        .map(|incident| &incident.reason)
        .or_else(|| state.blind.as_ref().and_then(|run| run.reason.as_ref()))
        .or_else(|| state.slow.as_ref().and_then(|run| run.reason.as_ref()))
        .or_else(|| watched.last.as_ref().and_then(|last| last.reason()))
        .or_else(|| watched.history.last().map(|transition| &transition.reason));
    reason.map_or_else(|| watched.shown().word().to_owned(), |reason| reason.text.clone())
}

/// Failures that are not yet confirmed: "2 of 3 failed".
pub(crate) fn suspect(watched: &Watched) -> Option<String> {
    let failing = watched.state.failing.as_ref().filter(|_| watched.state.incident.is_none())?;
    Some(format!("{} of {} failed", failing.count, watched.fixed.policy.failure_threshold))
}
