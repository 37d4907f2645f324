//! A form from a kind's schema, and its values back. One renderer for every kind of monitor and channel: nobody
//! writes a form by hand, and a kind that is added tomorrow has one.
//!
//! A form is filled from settings ([`Form::fill`]), drawn ([`Form::draw`]) and read ([`Form::read`]). All three
//! work on [`Filled`], the flat list of names and texts that a browser posts, so that what a person typed
//! survives a mistake. Names are paths: `probe.http.url`, `accept.0`, `headers.1.key`.

mod draw;

use serde_json::{Map, Value};
use watchbell_core::catalog::{self, Control, Field, HIDDEN};
use watchbell_core::kind::Complaint;

pub(crate) use draw::Hints;

/// The fields that nine of ten people set.
pub(crate) const ESSENTIALS: &str = "Essentials";

/// How groups follow each other; what is not named stands before "Note".
const ORDER: [&str; 9] = [
    ESSENTIALS,
    "What counts as good",
    "What counts as down",
    "Request",
    "TLS and certificate",
    "TLS",
    "Network",
    "Advanced",
    "Reminders",
];
const LAST: &str = "Note";

/// Fields with the names they are posted under.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    /// Where the value lies in the settings, and the name it is posted under: `probe.http.url`.
    name: String,
    field: Field,
    /// Nothing filled in means "as the defaults say", and an empty list means none at all.
    inherits: bool,
}

impl Form {
    /// Adds the fields of a schema below `prefix`, but for those named in `without`.
    pub(crate) fn with(mut self, prefix: &str, schema: &Value, without: &[&str]) -> Self {
        for field in catalog::fields(schema) {
            if !without.contains(&field.name.as_str()) {
                let name = if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
                self.parts.push(Part { name, field, inherits: false });
            }
        }
        self
    }

    /// Marks lists whose absence means "as the defaults say".
    pub(crate) fn inheriting(mut self, names: &[&str]) -> Self {
        for part in &mut self.parts {
            part.inherits = names.contains(&part.name.as_str());
        }
        self
    }

    /// Groups in the order people meet them, essentials first.
    fn groups(&self) -> Vec<(&str, Vec<&Part>)> {
        let mut groups: Vec<(&str, Vec<&Part>)> = Vec::new();
        for part in &self.parts {
            let name = if part.field.required { ESSENTIALS } else { part.field.group.as_str() };
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, parts)) => parts.push(part),
                None => groups.push((name, vec![part])),
            }
        }
        groups.sort_by_key(|(name, _)| {
            if *name == LAST { ORDER.len() + 1 } else { ORDER.iter().position(|it| it == name).unwrap_or(ORDER.len()) }
        });
        groups
    }

    /// The settings as a browser would post them. Secrets that are set stand as [`HIDDEN`].
    pub(crate) fn fill(&self, settings: &Value) -> Filled {
        let mut filled = Filled::default();
        for part in &self.parts {
            let value = part.name.split('.').try_fold(settings, |value, key| value.get(key));
            if part.inherits && value.is_some_and(Value::is_array) {
                filled.put(format!("{}.own", part.name), "1");
            }
            if let Some(value) = value {
                fill(&part.field, &part.name, value, &mut filled);
            }
        }
        filled
    }

    /// The settings that a post stands for, with what could not be understood at all. Secrets that were left alone
    /// stand as [`HIDDEN`], those taken away as `null`: see [`catalog::keep_secrets`].
    pub(crate) fn read(&self, filled: &Filled) -> (Value, Vec<Complaint>) {
        let mut settings = Map::new();
        let mut complaints = Vec::new();
        for part in &self.parts {
            let value = match read(&part.field, &part.name, filled, &mut complaints) {
                _ if part.inherits && filled.get(&format!("{}.own", part.name)) != Some("1") => None,
                None if part.inherits => Some(Value::Array(Vec::new())),
                value => value,
            };
            if let Some(value) = value {
                insert(&mut settings, &part.name, value);
            }
        }
        (Value::Object(settings), complaints)
    }
}

fn insert(settings: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            settings.insert(name.to_owned(), value);
        }
        Some((first, rest)) => {
            let below = settings.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

/// What a browser posts: names and texts, in order, some names never, some twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filled(Vec<(String, String)>);

impl Filled {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Replaces what stands under `name`.
    pub(crate) fn set(&mut self, name: &str, text: &str) {
        self.0.retain(|(known, _)| known != name);
        self.put(name, text);
    }

    fn put(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.push((name.into(), text.into()));
    }

    /// The numbers of the rows of a list or map, in order.
    fn rows(&self, name: &str) -> Vec<usize> {
        let number = |known: &str| {
            let rest = known.strip_prefix(name)?.strip_prefix('.')?;
            rest.split('.').next()?.parse::<usize>().ok().filter(|number| *number < MOST_ROWS)
        };
        let mut rows: Vec<usize> = self.0.iter().filter_map(|(known, _)| number(known)).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Whether anything is written under `name` or below it.
    fn is_blank(&self, name: &str) -> bool {
        !self.0.iter().any(|(known, text)| {
            let below = known.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            below && !text.trim().is_empty()
        })
    }
}

/// No list needs more rows than this from a form.
const MOST_ROWS: usize = 500;

fn fill(field: &Field, name: &str, value: &Value, filled: &mut Filled) {
    match (&field.control, value) {
        (_, Value::Null) => {}
        (Control::Secret, _) => filled.put(name, HIDDEN),
        (Control::Switch, Value::Bool(on)) => filled.put(name, if *on { "true" } else { "false" }),
        (Control::List(item), Value::Array(values)) => {
            for (row, value) in values.iter().enumerate() {
                fill(item, &format!("{name}.{row}"), value, filled);
            }
        }
        (Control::Map(inner), Value::Object(map)) => {
            for (row, (key, value)) in map.iter().enumerate() {
                filled.put(format!("{name}.{row}.key"), key.as_str());
                fill(inner, &format!("{name}.{row}.value"), value, filled);
            }
        }
        (Control::Object(fields), Value::Object(map)) => {
            for field in fields {
                if let Some(value) = map.get(&field.name) {
                    fill(field, &format!("{name}.{}", field.name), value, filled);
                }
            }
        }
        (Control::OneOf(branches), value) => {
            let taken = match value {
                Value::Object(map) => map.iter().next().map(|(key, inside)| (key.as_str(), Some(inside))),
                Value::String(word) => Some((word.as_str(), None)),
                _ => None,
            };
            let Some((key, inside)) = taken else { return };
            filled.put(name, key);
            if let (Some(inside), Some((_, branch))) = (inside, branches.iter().find(|(known, _)| known == key)) {
                fill(branch, &format!("{name}.{key}"), inside, filled);
            }
        }
        (Control::Yaml, value) => filled.put(name, catalog::to_yaml(value)),
        (_, Value::String(text)) => filled.put(name, text.as_str()),
        (_, Value::Array(_) | Value::Object(_)) => filled.put(name, catalog::to_yaml(value)),
        (_, plain) => filled.put(name, plain.to_string()),
    }
}

/// Such a switch has to be written down when it is off.
fn is_on_by_default(field: &Field) -> bool {
    field.required || field.default == Some(Value::Bool(true))
}

fn read(field: &Field, name: &str, filled: &Filled, complaints: &mut Vec<Complaint>) -> Option<Value> {
    let value = read_control(field, name, filled, complaints)?;
    // What equals the default need not be written.
    let is_default = !field.required && field.default.as_ref() == Some(&value);
    (!is_default).then_some(value)
}

fn read_control(field: &Field, name: &str, filled: &Filled, complaints: &mut Vec<Complaint>) -> Option<Value> {
    let text = filled.get(name).unwrap_or_default();
    let mut say = |sentence: String| complaints.push(Complaint::new(path_of(name), sentence));
    match &field.control {
        Control::Switch => (text == "true" || is_on_by_default(field)).then(|| Value::Bool(text == "true")),
        Control::Secret => {
            let mark = |mark: &str| filled.get(&format!("{name}.{mark}")).is_some();
            match text {
                _ if mark("remove") => Some(Value::Null),
                "" => mark("set").then(|| HIDDEN.into()),
                text => Some(text.into()),
            }
        }
        Control::List(item) => {
            let rows = filled.rows(name);
            let values: Vec<Value> = rows
                .into_iter()
                .filter(|row| !is_empty_row(item, &format!("{name}.{row}"), filled))
                .filter_map(|row| read_control(item, &format!("{name}.{row}"), filled, complaints))
                .collect();
            (!values.is_empty() || field.required).then_some(Value::Array(values))
        }
        Control::Map(inner) => {
            let mut map = Map::new();
            for row in filled.rows(name) {
                let key = filled.get(&format!("{name}.{row}.key")).unwrap_or_default().trim();
                let value = read_control(inner, &format!("{name}.{row}.value"), filled, complaints);
                match (key, value) {
                    // A secret whose name was taken away goes with it.
                    (_, Some(Value::Null)) | ("", None) => {}
                    ("", Some(value)) if value == HIDDEN => {}
                    ("", Some(_)) => complaints.push(Complaint::new(path_of(name), "A value stands without a name.")),
                    (key, value) => {
                        let empty =
                            || if matches!(inner.control, Control::Text { .. }) { "".into() } else { Value::Null };
                        map.insert(key.to_owned(), value.unwrap_or_else(empty));
                    }
                }
            }
            (!map.is_empty() || field.required).then_some(Value::Object(map))
        }
        Control::Object(fields) => {
            let mut map = Map::new();
            for inner in fields {
                if let Some(value) = read(inner, &format!("{name}.{}", inner.name), filled, complaints) {
                    map.insert(inner.name.clone(), value);
                }
            }
            (!map.is_empty() || field.required).then_some(Value::Object(map))
        }
        Control::OneOf(branches) => {
            let (key, branch) = branches.iter().find(|(key, _)| key == text)?;
            if is_word(key, branch) {
                return Some(key.as_str().into());
            }
            let below = format!("{name}.{key}");
            let inside = read_control(branch, &below, filled, complaints).or_else(|| match &branch.control {
                Control::Object(_) | Control::Map(_) => Some(Value::Object(Map::new())),
                Control::List(_) => Some(Value::Array(Vec::new())),
                _ => None,
            });
            match inside {
                Some(inside) => Some(Value::Object(Map::from_iter([(key.clone(), inside)]))),
                None => {
                    complaints.push(Complaint::new(path_of(&below), format!("“{}” needs a value.", branch.title)));
                    None
                }
            }
        }
        Control::Yaml => {
            let text = text.trim();
            if text.is_empty() {
                return None;
            }
            match serde_saphyr::from_str::<Value>(text) {
                Ok(value) => Some(value),
                Err(why) => {
                    say(format!("This is no YAML: {why}"));
                    None
                }
            }
        }
        Control::Integer { .. } => match text.trim() {
            "" => None,
            text => match text.parse::<i64>() {
                Ok(number) => Some(number.into()),
                Err(_) => {
                    say(format!("“{text}” is no whole number."));
                    None
                }
            },
        },
        Control::Number => match text.trim() {
            "" => None,
            text => match text.parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
                Some(number) => Some(number.into()),
                None => {
                    say(format!("“{text}” is no number."));
                    None
                }
            },
        },
        Control::Text { .. } if text.contains('\n') => Some(text.replace("\r\n", "\n").into()),
        Control::Text { .. } | Control::Url | Control::Duration | Control::Choice(_) => match text.trim() {
            "" => None,
            text => Some(text.into()),
        },
    }
}

/// A row that nobody has filled in: the spare ones at the end of every list. A choice that always has a value
/// does not count.
fn is_empty_row(item: &Field, name: &str, filled: &Filled) -> bool {
    match &item.control {
        Control::Object(fields) => {
            fields.iter().all(|field| is_empty_row(field, &format!("{name}.{}", field.name), filled))
        }
        Control::Choice(_) => item.required || filled.is_blank(name),
        Control::Switch => true,
        Control::OneOf(branches) => {
            branches.iter().all(|(key, branch)| is_word(key, branch) || filled.is_blank(&format!("{name}.{key}")))
        }
        _ => filled.is_blank(name),
    }
}

/// A branch that is just a word, with nothing to fill in.
fn is_word(key: &str, branch: &Field) -> bool {
    matches!(&branch.control, Control::Choice(words) if words.len() == 1 && words[0].0 == key)
}

/// A posted name as complaints write it: `accept.0` is `accept[0]`.
pub(crate) fn path_of(name: &str) -> String {
    let mut path = String::new();
    for step in name.split('.') {
        match step.parse::<usize>() {
            Ok(row) => path.push_str(&format!("[{row}]")),
            Err(_) if path.is_empty() => path.push_str(step),
            Err(_) => path.push_str(&format!(".{step}")),
        }
    }
    path
}

#[cfg(test)]
mod tests;
