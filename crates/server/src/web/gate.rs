//! The frame of pages before the console: signing in, first run, errors. The bell and one panel.

use maud::{DOCTYPE, Markup, html};

use super::reader::Reader;
use super::{assets, layout, parts};

/// A page with one panel. `title` stands below the bell, `second` below that.
#[expect(clippy::needless_pass_by_value, reason = "markup is made to be given away")]
pub(crate) fn gate(reader: &Reader, title: &str, second: &str, panel: Markup) -> Markup {
    let document = if title == "Watchbell" { "Sign in" } else { title };
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[reader.theme] {
            (layout::head(&format!("{document} · Watchbell"), "well", None))
            body {
                div.gate {
                    main.gate-m {
                        div.gate-b {
                            svg.waves viewBox="0 0 1400 1400" width="1400" height="1400" aria-hidden="true" {
                                @for radius in [84, 132, 188, 252, 324, 404, 492, 588, 692] {
                                    circle cx="700" cy="700" r=(radius) {}
                                }
                            }
                            (parts::bell("xl", "up"))
                            h1 { (title) }
                            @if !second.is_empty() { p { (second) } }
                        }
                        (panel)
                    }
                    footer.gate-foot {
                        span { "Watchbell " (env!("CARGO_PKG_VERSION")) }
                        (layout::theme_button(reader))
                    }
                }
                script type="module" src=(assets::address("keys.js")) {}
            }
        }
    }
}

/// A password with a button that shows it, which appears with the script that serves it.
pub(crate) fn password_field(name: &str, label: &str, autocomplete: &str, complaint: Option<&str>) -> Markup {
    let error = complaint.map(|_| format!("{name}-error"));
    html! {
        div.field {
            label for=(name) { (label) }
            div.affix {
                input.inp #(name) name=(name) type="password" required maxlength="1000" autocomplete=(autocomplete)
                    aria-invalid=[complaint.map(|_| "true")] aria-describedby=[error.as_deref()];
                button.btn.ghost.icon type="button" hidden data-show=(name) aria-label="Show password" title="Show password" {
                    (parts::icon("eye"))
                }
            }
            @if let Some(sentence) = complaint {
                p.err id=[error.as_deref()] { (parts::small_glyph("down")) (sentence) }
            }
        }
    }
}
