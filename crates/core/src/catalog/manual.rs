//! The reference manual of a family of kinds, made from the definitions.

use serde_json::Value;

use super::form::{Control, Field, fields};
use super::{schema, to_yaml};
use crate::kind::Entry;

/// The manual as Markdown: a section for each kind with what it does, its fields, and an example.
pub fn manual(family_title: &str, entries: &[Entry]) -> String {
    let mut out = format!("# {family_title}\n");
    for entry in entries {
        let schema = schema(entry);
        let title = schema["title"].as_str().unwrap_or(entry.name);
        out.push_str(&format!("\n## {title}\n\n`{}`\n", entry.name));
        if let Some(about) = schema["description"].as_str() {
            out.push_str(&format!("\n{about}\n"));
        }
        let fields = fields(&schema);
        if !fields.is_empty() {
            out.push_str("\n| field | meaning | default |\n| --- | --- | --- |\n");
            for field in &fields {
                write_rows(&mut out, field);
            }
        }
        out.push_str(&format!("\n```yaml\n{}```\n", to_yaml(&(entry.example)())));
    }
    out
}

/// The row of a field and those of everything inside it.
fn write_rows(out: &mut String, field: &Field) {
    // The items of a list have a row only if there is something to say of them that the list's row does not.
    if !field.name.is_empty() {
        out.push_str(&format!("| `{}` | {} | {} |\n", field.dotted(), cell(&meaning(field)), cell(&default(field))));
    }
    for inner in field.inner() {
        // A word that stands alone is in the list of allowed words already.
        if !(matches!(field.control, Control::OneOf(_)) && matches!(inner.control, Control::Choice(_))) {
            write_rows(out, inner);
        }
    }
}

fn meaning(field: &Field) -> String {
    let mut said = vec![field.help.clone(), field.more.clone()];
    let words = match &field.control {
        Control::List(item) | Control::Map(item) => words(&item.control),
        control => words(control),
    };
    if !words.is_empty() {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        said.push(format!("One of {}.", words.join(", ")));
    }
    if matches!(field.control, Control::Secret) {
        said.push("Never shown again.".into());
    }
    said.retain(|sentence| !sentence.is_empty());
    said.join(" ")
}

fn words(control: &Control) -> Vec<&str> {
    match control {
        Control::Choice(choices) if choices.len() > 1 => choices.iter().map(|(word, _)| word.as_str()).collect(),
        Control::OneOf(branches) => branches.iter().map(|(key, _)| key.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn default(field: &Field) -> String {
    if field.required {
        return "required".into();
    }
    match &field.default {
        // What is inside has rows and defaults of its own.
        Some(Value::Object(_)) | None => String::new(),
        Some(Value::Array(list)) if list.is_empty() => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{}`", to_yaml(value).trim_end()),
    }
}

/// Text that cannot end a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}
