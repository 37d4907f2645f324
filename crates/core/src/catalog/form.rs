//! A schema as a list of fields to fill in. Forms and the manual are drawn from it, the same for every kind.

use serde_json::Value;

use super::{is_secret, map_values, without_null};

/// One thing to fill in.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The key; empty for the items of a list and the values of a map.
    pub name: String,
    /// Keys from the kind down to this field; `[]` stands for any item of a list, `<name>` for any key of a map.
    pub path: Vec<String>,
    /// The name as people read it: `chat_id` becomes "Chat ID".
    pub title: String,
    /// The first sentence of the description.
    pub help: String,
    /// The rest of it.
    pub more: String,
    pub required: bool,
    pub default: Option<Value>,
    /// A value as somebody might write it, for the placeholder.
    pub example: Option<Value>,
    /// The heading it stands under: `x-group` of the schema, else that of the field around it, else "Advanced".
    pub group: String,
    pub control: Control,
}

/// What a field is filled in with.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    Text {
        pattern: Option<String>,
    },
    Url,
    Secret,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number,
    /// `30s`, `5m`, `1h30m`.
    Duration,
    Switch,
    /// One of these values, each with what people read.
    Choice(Vec<(String, String)>),
    List(Box<Field>),
    /// Free keys; the field describes the values.
    Map(Box<Field>),
    Object(Vec<Field>),
    /// One of these keys with what belongs to it: `{"basic": {…}}`. A key that stands alone, `"none"`, has a
    /// [`Control::Choice`] of just itself.
    OneOf(Vec<(String, Field)>),
    /// Anything else is written as YAML.
    Yaml,
}

const NO_GROUP: &str = "Advanced";
const ITEM: &str = "[]";
const VALUE: &str = "<name>";

/// The fields of a whole schema, in the order they are declared.
pub fn fields(schema: &Value) -> Vec<Field> {
    object_fields(schema, &[], NO_GROUP)
}

impl Field {
    /// The path as it is written in errors and in the manual: `auth.basic.user`, `assertions[].regex`,
    /// `headers.<name>`.
    pub fn dotted(&self) -> String {
        self.path.join(".").replace(".[]", "[]")
    }

    /// The fields directly below this one.
    pub fn inner(&self) -> Vec<&Self> {
        match &self.control {
            Control::List(item) | Control::Map(item) => vec![item],
            Control::Object(fields) => fields.iter().collect(),
            Control::OneOf(branches) => branches.iter().map(|(_, field)| field).collect(),
            _ => Vec::new(),
        }
    }
}

fn object_fields(schema: &Value, path: &[String], group: &str) -> Vec<Field> {
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|it| it == name));
    properties.iter().map(|(name, about)| field(name, about, required(name), path, group)).collect()
}

fn field(name: &str, schema: &Value, required: bool, above: &[String], group: &str) -> Field {
    let mut path = above.to_vec();
    path.push(name.to_owned());
    let group = schema["x-group"].as_str().unwrap_or(group).to_owned();
    let about = without_null(schema);
    let (help, more) = sentences(about["description"].as_str().unwrap_or_default());
    Field {
        name: if name == ITEM || name == VALUE { String::new() } else { name.to_owned() },
        title: about["title"].as_str().map_or_else(|| humanised(name), str::to_owned),
        help,
        more,
        required,
        default: about.get("default").filter(|value| !value.is_null()).cloned(),
        example: about["examples"].as_array().and_then(|examples| examples.first()).cloned(),
        control: control(&about, &path, &group),
        path,
        group,
    }
}

fn control(schema: &Value, path: &[String], group: &str) -> Control {
    if is_secret(schema) {
        return Control::Secret;
    }
    if let Some(choices) = choices(schema) {
        return Control::Choice(choices);
    }
    if let Some(branches) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return one_of(branches, path, group).map_or(Control::Yaml, Control::OneOf);
    }
    let is = |name: &str| match &schema["type"] {
        Value::String(only) => only == name,
        Value::Array(several) => several.iter().any(|it| it == name),
        _ => false,
    };
    match schema["format"].as_str() {
        Some("duration") => return Control::Duration,
        Some("uri" | "url") => return Control::Url,
        _ => {}
    }
    if is("string") {
        Control::Text { pattern: schema["pattern"].as_str().map(str::to_owned) }
    } else if is("integer") {
        Control::Integer { min: schema["minimum"].as_i64(), max: schema["maximum"].as_i64() }
    } else if is("number") {
        Control::Number
    } else if is("boolean") {
        Control::Switch
    } else if schema["items"].is_object() {
        Control::List(Box::new(field(ITEM, &schema["items"], true, path, group)))
    } else if schema["properties"].is_object() {
        Control::Object(object_fields(schema, path, group))
    } else if let Some(values) = map_values(schema) {
        Control::Map(Box::new(field(VALUE, values, true, path, group)))
    } else {
        Control::Yaml
    }
}

/// The values of a schema that allows only certain words.
fn choices(schema: &Value) -> Option<Vec<(String, String)>> {
    let label = |word: &str, about: &Value| {
        let said = about["title"].as_str().or_else(|| about["description"].as_str());
        said.map_or_else(|| humanised(word), |said| sentences(said).0.trim_end_matches('.').to_owned())
    };
    if let Some(word) = schema["const"].as_str() {
        return Some(vec![(word.to_owned(), label(word, schema))]);
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| word.as_str().map(|word| (word.to_owned(), humanised(word)))).collect();
    }
    let branches = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())?;
    let each: Option<Vec<_>> = branches.iter().map(choices).collect();
    each.map(|each| each.into_iter().flatten().collect())
}

/// The branches of an externally tagged enum; `None` if the schema is a choice of another sort.
fn one_of(branches: &[Value], path: &[String], group: &str) -> Option<Vec<(String, Field)>> {
    let mut named = Vec::new();
    for branch in branches {
        if let Some(words) = choices(branch) {
            for (word, label) in words {
                let mut alone = field(&word, branch, false, path, group);
                alone.control = Control::Choice(vec![(word.clone(), label)]);
                named.push((word, alone));
            }
            continue;
        }
        let properties = branch["properties"].as_object().filter(|properties| properties.len() == 1)?;
        let (key, about) = properties.iter().next()?;
        let mut inside = field(key, about, true, path, group);
        // What is said of the variant is said of the branch; of its contents, only inside.
        if let Some(said) = branch["description"].as_str() {
            (inside.help, inside.more) = sentences(said);
        }
        named.push((key.clone(), inside));
    }
    Some(named)
}

/// The first sentence, and the rest, each on one line. A stop inside "e.g." or "3.5" ends no sentence.
fn sentences(text: &str) -> (String, String) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut from = 0;
    while let Some(found) = text[from..].find(". ") {
        let stop = from + found;
        let before = &text[..stop];
        let shortened = ["e.g", "i.e", "etc", "vs", "approx"].iter().any(|it| before.ends_with(it));
        if !shortened {
            return (text[..=stop].to_owned(), text[stop + 2..].to_owned());
        }
        from = stop + 2;
    }
    (text, String::new())
}

/// `chat_id` as people read it: "Chat ID".
fn humanised(name: &str) -> String {
    const CAPITALS: [&str; 27] = [
        "id", "url", "uri", "tls", "ssl", "dns", "http", "https", "ip", "api", "ca", "tcp", "udp", "json", "smtp",
        "sni", "alpn", "ttl", "ssh", "html", "css", "utc", "sql", "cpu", "os", "pem", "icmp",
    ];
    if name == ITEM || name == VALUE {
        return String::new();
    }
    let mut title = String::new();
    for (index, word) in name.split(['_', '-']).filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            title.push(' ');
        }
        let mut letters = word.chars();
        if CAPITALS.contains(&word) {
            title.push_str(&word.to_uppercase());
        } else if let (0, Some(first)) = (index, letters.next()) {
            title.extend(first.to_uppercase());
            title.push_str(letters.as_str());
        } else {
            title.push_str(word);
        }
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_is_help_and_the_rest_is_more() {
        let check = |text, help: &str, more: &str| assert_eq!(sentences(text), (help.to_owned(), more.to_owned()));
        check("Name to resolve.", "Name to resolve.", "");
        check(
            "How long, e.g. 3.5 s.\nZero means for ever. Really.",
            "How long, e.g. 3.5 s.",
            "Zero means for ever. Really.",
        );
        check("No stop", "No stop", "");
        check("", "", "");
    }

    #[test]
    fn names_become_titles() {
        for (name, title) in [("chat_id", "Chat ID"), ("url", "URL"), ("max_run", "Max run"), ("", "")] {
            assert_eq!(humanised(name), title);
        }
    }
}
