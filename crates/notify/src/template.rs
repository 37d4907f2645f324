//! Bodies that people write themselves: text with `{{monitor.name}}` in it. There is no logic, and no value can
//! leave the place it was put into: a JSON template is read as JSON first, and written by the serializer afterwards.

use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use crate::json::{lookup, paths};
use crate::words::html;

/// A longer template is a mistake.
const LONGEST_TEMPLATE: usize = 16 * 1024;
/// Each placeholder may grow into a bounded value; so does their number bound the body.
const MOST_PLACEHOLDERS: usize = 50;

/// What values are escaped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Form,
    Markup,
    Plain,
}

impl Format {
    /// By the media type of the request: `application/json`, `application/problem+json`, `text/xml; charset=utf-8`.
    pub(crate) fn of(content_type: &str) -> Self {
        let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media.split_once('/').map_or("", |(_, kind)| kind) {
            kind if kind == "json" || kind.ends_with("+json") => Self::Json,
            "x-www-form-urlencoded" => Self::Form,
            kind if kind == "html" || kind == "xml" || kind.ends_with("+xml") => Self::Markup,
            _ => Self::Plain,
        }
    }
}

/// What is wrong with a template, each as a sentence. `sample` has every value that a placeholder may name.
pub(crate) fn complaints(template: &str, format: Format, sample: &Value) -> Vec<String> {
    if template.len() > LONGEST_TEMPLATE {
        return vec![format!("The template is longer than {} kB", LONGEST_TEMPLATE / 1024)];
    }
    let mut complaints = Vec::new();
    if format == Format::Json
        && let Err(error) = serde_json::from_str::<Value>(template)
    {
        complaints.push(format!(
            "The template is no JSON ({error}). Put placeholders in quotes, also for numbers and lists, or set another Content-Type under headers"
        ));
    }
    match split(template) {
        Err(complaint) => complaints.push(complaint),
        Ok(pieces) => {
            let names: Vec<&str> = pieces.iter().filter_map(|piece| piece.placeholder()).collect();
            if names.len() > MOST_PLACEHOLDERS {
                complaints.push(format!("The template has more than {MOST_PLACEHOLDERS} placeholders"));
            }
            for name in names.into_iter().filter(|name| lookup(sample, &first_of_list(name)).is_none()) {
                complaints.push(format!("`{{{{{name}}}}}` is unknown; known are {}", paths(sample).join(", ")));
            }
        }
    }
    complaints
}

/// The template with values in it; `None` if it is no template at all, which [`complaints`] would have said.
pub(crate) fn fill(template: &str, format: Format, values: &Value) -> Option<String> {
    if format == Format::Json {
        let mut body: Value = serde_json::from_str(template).ok()?;
        fill_json(&mut body, values)?;
        return Some(body.to_string());
    }
    fill_text(template, values, |text| match format {
        Format::Form => byte_serialize(text.as_bytes()).collect(),
        Format::Markup => html(text),
        Format::Json | Format::Plain => text.to_owned(),
    })
}

/// A text that is one placeholder becomes the value itself, a number or a list too; others are filled as text.
fn fill_json(body: &mut Value, values: &Value) -> Option<()> {
    match body {
        Value::String(text) => {
            let whole = match split(text).ok()?.as_slice() {
                [Piece::Placeholder(name)] => Some(lookup(values, name).cloned().unwrap_or_default()),
                _ => None,
            };
            *body = match whole {
                Some(value) => value,
                None => fill_text(text, values, str::to_owned)?.into(),
            };
        }
        Value::Array(list) => list.iter_mut().try_for_each(|item| fill_json(item, values))?,
        Value::Object(map) => map.values_mut().try_for_each(|item| fill_json(item, values))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Some(())
}

fn fill_text(template: &str, values: &Value, escape: impl Fn(&str) -> String) -> Option<String> {
    let mut out = String::with_capacity(template.len());
    for piece in split(template).ok()? {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Placeholder(name) => out.push_str(&escape(&words(lookup(values, name)))),
        }
    }
    Some(out)
}

/// A value as it reads in a text.
fn words(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) if list.iter().all(|item| !item.is_object()) => {
            list.iter().map(|item| words(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

impl<'a> Piece<'a> {
    fn placeholder(&self) -> Option<&'a str> {
        match self {
            Self::Placeholder(name) => Some(name),
            Self::Text(_) => None,
        }
    }
}

fn split(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("A `{{` has no `}}`")?;
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces.push(Piece::Placeholder(name.trim()));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// `seen.7.value` is as good as `seen.0.value`: lists differ in length from message to message.
fn first_of_list(path: &str) -> String {
    let is_index = |step: &str| step.len() <= 2 && step.parse::<u8>().is_ok();
    path.split('.').map(|step| if is_index(step) { "0" } else { step }).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn values(name: &str) -> Value {
        let mut message = json::sample();
        message.monitor.name = name.into();
        message.reminder = None;
        json::of(&message)
    }

    #[test]
    fn values_take_the_place_of_their_names() {
        for (format, template, filled) in [
            (Format::Plain, "{{monitor.name}}: {{ reason }}", "Tom & \"Jerry\": 502 Bad Gateway"),
            (
                Format::Plain,
                "{{monitor.tags}}|{{reminder}}|{{test}}|{{seen.1.value}}|{{seen.9.value}}",
                "prod, eu||false|192.0.2.7:443|",
            ),
            (Format::Json, r#"{"t":"{{monitor.name}} down"}"#, r#"{"t":"Tom & \"Jerry\" down"}"#),
            (
                Format::Json,
                r#"{"ms":"{{duration_ms}}","tags":"{{monitor.tags}}"}"#,
                r#"{"ms":70000,"tags":["prod","eu"]}"#,
            ),
            (Format::Json, r#"["{{reminder}}", "no {{reminder}}."]"#, r#"[null,"no ."]"#),
            (Format::Form, "text={{monitor.name}}&x=1", "text=Tom+%26+%22Jerry%22&x=1"),
            (Format::Markup, "<p>{{monitor.name}}</p>", "<p>Tom &amp; &quot;Jerry&quot;</p>"),
            (Format::Plain, "no placeholder } { here", "no placeholder } { here"),
        ] {
            assert_eq!(fill(template, format, &values("Tom & \"Jerry\"")).as_deref(), Some(filled), "{template}");
        }
    }

    #[test]
    fn no_name_can_leave_its_place() {
        for name in [r#"","admin":true,"x":""#, "\\", "{{key}}", "a\u{2028}b", "</p><script>", "&x=2", "\"}"] {
            let json = fill(r#"{"a":"<{{monitor.name}}>","b":1}"#, Format::Json, &values(name)).unwrap();
            let read: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(read.as_object().unwrap().len(), 2, "{json}");
            assert!(!json.contains("c1/17/3"), "a value was read as a template: {json}");
            let form = fill("a={{monitor.name}}", Format::Form, &values(name)).unwrap();
            assert!(!form[2..].contains(['&', '=', '\n']), "{form}");
            let page = fill("<p>{{monitor.name}}</p>", Format::Markup, &values(name)).unwrap();
            assert_eq!(page.matches('<').count(), 2, "{page}");
        }
    }

    #[test]
    fn what_cannot_work_is_said_beforehand() {
        let sample = values("x");
        for (format, template, words) in [
            (Format::Json, r#"{"a":{{reason}}}"#, "Put placeholders in quotes"),
            (Format::Json, "plain", "no JSON"),
            (Format::Plain, "{{monitor.nam}}", "`{{monitor.nam}}` is unknown; known are event, title, monitor.slug"),
            (Format::Plain, "{{reason", "no `}}`"),
            (Format::Plain, &"x".repeat(20_000), "longer than 16 kB"),
            (Format::Plain, &"{{key}}".repeat(51), "more than 50"),
        ] {
            let complaints = complaints(template, format, &sample);
            assert!(complaints.iter().any(|complaint| complaint.contains(words)), "{template}: {complaints:?}");
        }
        assert_eq!(complaints(r#"{"a":"{{seen.7.value}} {{incident.id}}"}"#, Format::Json, &sample), [""; 0]);
    }

    #[test]
    fn the_media_type_says_how_to_escape() {
        for (media, format) in [
            ("application/json", Format::Json),
            ("Application/Vnd.Api+JSON; charset=utf-8", Format::Json),
            ("application/x-www-form-urlencoded", Format::Form),
            ("text/xml", Format::Markup),
            ("application/soap+xml", Format::Markup),
            ("text/plain", Format::Plain),
            ("", Format::Plain),
        ] {
            assert_eq!(Format::of(media), format, "{media}");
        }
    }
}
