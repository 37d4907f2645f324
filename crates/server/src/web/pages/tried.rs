//! What a check from a form gave, in full, without having been saved or counted.

use maud::{Markup, html};
use watchbell_core::{Finding, Outcome};

use super::evidence::details;
use crate::web::draw::waterfall::{ends_in_a_phase, waterfall};
use crate::web::reader::Reader;
use crate::web::{parts, words};

/// The place beside the form, empty until something was tried.
pub(crate) fn rail(content: Option<&Markup>) -> Markup {
    html! {
        aside.stack.rail #tried aria-label="Try it" aria-live="polite" {
            @match content {
                Some(content) => (content),
                None => p.note {
                    (parts::icon("eye"))
                    span {
                        b { "Check now" }
                        " asks with what stands in the form and shows the whole answer. Nothing is saved or counted."
                    }
                },
            }
        }
    }
}

/// One finding with phases and evidence. `slow_above` is the limit that would count as slow.
pub(crate) fn tried(finding: &Finding, slow_above: Option<std::time::Duration>, reader: &Reader) -> Markup {
    let slow = slow_above.is_some_and(|limit| finding.took > limit);
    let first = finding.evidence.rows.first().map_or("It answered", |row| row.value.as_str());
    let (class, verdict, would) = match &finding.outcome {
        Outcome::Ok if slow => {
            ("degraded", format!("{first} in {}", words::latency(finding.took)), "Would count as slow.")
        }
        Outcome::Ok => ("up", format!("{first} in {}", words::latency(finding.took)), "Would count as up."),
        Outcome::Fail(reason) => ("down", reason.text.clone(), "Would count as a failure."),
        Outcome::Local(reason) => ("unknown", reason.text.clone(), "We could not ask; it would not be counted."),
    };
    let failed = matches!(&finding.outcome, Outcome::Fail(reason) if ends_in_a_phase(&reason.code));
    html! {
        section.panel aria-labelledby="h-tried" {
            div.panel-h { h2 #h-tried { "Check now" } span.sub { (reader.calendar.time(reader.now())) } }
            div.panel-b {
                p.verdict { (parts::glyph(class, 20)) span { b { (verdict) } small { (would) " Nothing was saved." } } }
                @if finding.phases.each().next().is_some() {
                    (waterfall(&finding.phases, finding.took, None, failed, true))
                }
                dl.facts.mt8 {
                    @for row in &finding.evidence.rows { div { dt { (row.name) } dd { (row.value) } } }
                    @if let Some(ends) = finding.expires_at {
                        div { dt { "Certificate" } dd { "ends " (reader.calendar.day_time(ends)) } }
                    }
                }
                (details(&finding.evidence, ""))
            }
        }
    }
}
