//! The smallest parts: glyphs, icons, words of state, buttons, empty places. Names are those of the stylesheet.

use maud::{Markup, html};

use super::{assets, words};
use crate::live::Shown;

/// A drawing beside a word. The names are the sprite's.
pub(crate) fn icon(name: &str) -> Markup {
    html! {
        svg.ic viewBox="0 0 16 16" aria-hidden="true" { use href={ (assets::address("sprite.svg")) "#i-" (name) } {} }
    }
}

/// A state's shape below 16 pixels. `class` is the state's.
pub(crate) fn small_glyph(class: &str) -> Markup {
    html! {
        svg class={ "gl " (class) } viewBox="0 0 16 16" aria-hidden="true" { use href={ (assets::address("sprite.svg")) "#g-" (class) } {} }
    }
}

/// A state's shape with its mark, from 16 pixels on: 16, 20, 28 or 40.
pub(crate) fn glyph(class: &str, size: u8) -> Markup {
    html! {
        svg class={ "gl gl-" (size) " " (class) } viewBox="0 0 16 16" aria-hidden="true" {
            use href={ (assets::address("sprite.svg")) "#G-" (class) } {}
        }
    }
}

/// A state in a running row: its shape and a word.
pub(crate) fn state(class: &str, word: &str) -> Markup {
    html! { span class={ "st " (class) } { (small_glyph(class)) span.w { (word) } } }
}

pub(crate) fn shown(shown: Shown) -> Markup {
    state(shown.class(), shown.word())
}

/// `site:south` with the key in a lower voice. Click filters.
pub(crate) fn tag(tag: &str) -> Markup {
    html! {
        a.tag href=(super::links::filtered(&format!("tag:{}", quoted(tag)))) {
            @match tag.split_once(':') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() => { b { (key) } span.clip { (value) } },
                _ => span.clip { (tag) },
            }
        }
    }
}

/// A word of a filter, in quotes where it would fall apart.
pub(crate) fn quoted(word: &str) -> String {
    if word.contains(char::is_whitespace) { format!("\"{word}\"") } else { word.to_owned() }
}

/// Who has it.
pub(crate) fn avatar(name: &str, small: bool) -> Markup {
    html! { span.av.sm[small] aria-hidden="true" { (words::initials(name)) } }
}

/// A button that is a form of its own, so that it works without script.
pub(crate) fn post(action: &str, class: &str, content: &Markup) -> Markup {
    html! { form.inline method="post" action=(action) data-post="" { button class={ "btn " (class) } { (content) } } }
}

/// A place that holds nothing yet: what it is for, and the next step.
pub(crate) fn empty(title: &str, text: &str, actions: &Markup) -> Markup {
    html! {
        div.empty {
            svg.art viewBox="0 0 72 72" aria-hidden="true" {
                g fill="none" stroke="currentColor" stroke-width="1.5" opacity=".45" {
                    circle cx="36" cy="36" r="16" {}
                    circle cx="36" cy="36" r="25" stroke-dasharray="3 4" {}
                    circle cx="36" cy="36" r="34" stroke-dasharray="1 6" {}
                }
                circle cx="36" cy="36" r="5" fill="none" stroke="currentColor" stroke-width="2" {}
            }
            h2 { (title) }
            p { (text) }
            div.row { (actions) }
        }
    }
}

/// The ship's bell; its clapper is the state of the whole house.
pub(crate) fn bell(class: &str, clapper: &str) -> Markup {
    html! {
        svg class={ "bell " (class) } viewBox="0 0 32 32" aria-hidden="true" {
            circle.ring cx="16" cy="4" r="2.2" fill="none" stroke-width="1.7" {}
            path.body d="M16 6.2c-4.9 0-7.5 3.5-7.8 8.3-.2 3-1 5-2.9 6.6-.7.6-.3 1.7.6 1.7h20.2c.9 0 1.3-1.1.6-1.7-1.9-1.6-2.7-3.6-2.9-6.6-.3-4.8-2.9-8.3-7.8-8.3z" {}
            path.band d="M8.3 13.5h15.4M7.7 17.6h16.6" fill="none" stroke-width="1.1" {}
            g class={ "gl " (clapper) } fill="currentColor" {
                @match clapper {
                    "down" => rect x="12.6" y="24.4" width="6.8" height="6.4" rx="1.6" {},
                    "degraded" => path d="M16 24l4.4 7h-8.8z" {},
                    "unknown" => circle cx="16" cy="27.6" r="2.6" fill="none" stroke="currentColor" stroke-width="1.6" stroke-dasharray="2.4 1.6" {},
                    _ => circle cx="16" cy="27.6" r="3.2" {},
                }
            }
        }
    }
}

/// A sentence with what stands between backticks as code.
pub(crate) fn prose(text: &str) -> Markup {
    html! {
        @for (index, piece) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}
