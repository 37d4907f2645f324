//! The last failure beside the last success: differing cells are marked on both sides, equal ones said once.

use std::time::Duration;

use maud::{Markup, html};
use watchbell_core::{Evidence, Timestamp};
use watchbell_store::NewEvidence;

use crate::live::Seen;
use crate::web::words::{self, Calendar};

/// What was seen once.
pub(super) struct Side {
    pub at: Timestamp,
    took: Option<Duration>,
    reason: Option<String>,
    evidence: Evidence,
}

impl From<&Seen> for Side {
    fn from(seen: &Seen) -> Self {
        Self {
            at: seen.at,
            took: Some(seen.took),
            reason: seen.reason().map(|reason| reason.text.clone()),
            evidence: seen.evidence.clone(),
        }
    }
}

/// From before the last start, as far as it was kept.
impl From<NewEvidence> for Side {
    fn from(kept: NewEvidence) -> Self {
        Self { at: kept.at, took: None, reason: None, evidence: kept.evidence }
    }
}

/// The content of the evidence panel.
pub(super) fn compared(failed: Option<&Side>, worked: Option<&Side>, calendar: &Calendar) -> Markup {
    html! {
        div.panel-h {
            h2 #h-ev { "Evidence" }
            span.sub { @match (failed, worked) {
                (Some(_), Some(_)) => "last failure against last success",
                (Some(_), None) => "of the last failure",
                (None, Some(_)) => "of the last success",
                (None, None) => "",
            } }
        }
        div.panel-b {
            @if failed.is_none() && worked.is_none() { p.i3 { "There is nothing to show yet." } }
            @else {
                table.diff {
                    caption.sr { "What was seen" }
                    colgroup { col.w-name; @if failed.is_some() { col; } @if worked.is_some() { col; } }
                    thead { tr {
                        th scope="col" { span.sr { "What" } }
                        @if let Some(it) = failed { th scope="col" { "Failed " (calendar.time(it.at)) } }
                        @if let Some(it) = worked { th scope="col" { "Worked " (calendar.time(it.at)) } }
                    } }
                    tbody { (rows(failed, worked)) }
                }
                @for (side, word) in [(failed, "failure"), (worked, "success")] {
                    @if let Some(side) = side { (details(&side.evidence, &format!(" of the last {word}"))) }
                }
            }
        }
    }
}

fn rows(failed: Option<&Side>, worked: Option<&Side>) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for side in [failed, worked].into_iter().flatten() {
        for row in &side.evidence.rows {
            if !names.contains(&&*row.name) {
                names.push(&row.name);
            }
        }
    }
    let value = |side: Option<&'_ Side>, name: &str| -> Option<String> {
        side?.evidence.rows.iter().find(|row| row.name == name).map(|row| row.value.clone())
    };
    let took = worked.and_then(|side| side.took).filter(|took| !took.is_zero());
    html! {
        @if let Some(reason) = failed.and_then(|side| side.reason.as_ref()) {
            tr {
                th scope="row" { "Verdict" }
                td { mark { (reason) } }
                @if worked.is_some() {
                    td { ins { "good" @if let Some(took) = took { ", in " (words::latency(took)) } } }
                }
            }
        }
        @for name in names {
            @let (bad, good) = (value(failed, name), value(worked, name));
            @let same = bad.is_some() && bad == good;
            tr.same[same] {
                th scope="row" { (name) }
                @if failed.is_some() {
                    td {
                        @match &bad { Some(text) if same || worked.is_none() => (text), Some(text) => mark { (text) }, None => span.i3 { "–" } }
                    }
                }
                @if worked.is_some() {
                    td {
                        @match &good { _ if same => "same", Some(text) if failed.is_none() => (text), Some(text) => ins { (text) }, None => span.i3 { "–" } }
                    }
                }
            }
        }
    }
}

/// Errors, headers and body, folded; always as text.
pub(super) fn details(evidence: &Evidence, of: &str) -> Markup {
    html! {
        @if !evidence.errors.is_empty() {
            details.more { summary { "Errors" (of) } pre.code.wrap { (evidence.errors.join("\n")) } }
        }
        @if !evidence.headers.is_empty() {
            details.more {
                summary { "Headers" (of) }
                pre.code.wrap { @for row in &evidence.headers { (row.name) ": " (row.value) "\n" } }
            }
        }
        @if let Some(body) = &evidence.body {
            details.more {
                summary { "Body" (of) ", first " (words::bytes(body.len() as u64)) } pre.code.wrap { "\n" (body) }
            }
        }
    }
}
