//! The rules every kind obeys, stated once, for the kinds that are and those that are not yet written.

use serde_json::Value;

use super::{ENDLESS, is_secret, map_values, schema, without_null};
use crate::kind::Entry;

/// Words in a field's name that mean that it must never be shown.
const SECRET_WORDS: [&str; 5] = ["token", "password", "passphrase", "secret", "key"];

/// A field with such a name that is no secret says so with this key: `#[schemars(extend("x-public" = true))]`.
const PUBLIC: &str = "x-public";

/// What is wrong with the kinds' definitions, as sentences; empty if they obey:
///
/// - a title, a description, and no unknown fields, here and in everything below;
/// - every field is described;
/// - a text whose name sounds secret is a `Secret`, and a `Secret` says in its name or description that it is one;
/// - the example stands under the module's name and fits the schema;
/// - no type contains itself: neither form nor redaction could follow it to its end.
pub fn complaints_about(entries: &[Entry]) -> Vec<String> {
    let mut complaints = Vec::new();
    for entry in entries {
        let name = entry.name;
        let schema = schema(entry);
        for key in ["title", "description"] {
            if schema[key].as_str().is_none_or(str::is_empty) {
                complaints.push(format!("{name} has no {key}"));
            }
        }
        if schema["properties"].is_null() {
            complaints.push(format!("{name} is not a struct with named fields"));
        }
        look_into(&schema, name, &mut complaints);
        let example = (entry.example)();
        match example.as_object().map(|map| map.iter().collect::<Vec<_>>()).as_deref() {
            Some([(key, inner)]) if *key == name => misfits(&schema, inner, name, &mut complaints),
            _ => complaints.push(format!("{name}: the module's name and the key of its example differ")),
        }
    }
    complaints
}

fn look_into(schema: &Value, path: &str, complaints: &mut Vec<String>) {
    if schema[ENDLESS] == true {
        complaints.push(format!("{path} contains its own type"));
    }
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            complaints.push(format!("{path} accepts unknown fields"));
        }
        for (name, about) in properties {
            let path = format!("{path}.{name}");
            if about["description"].as_str().is_none_or(str::is_empty) {
                complaints.push(format!("{path} has no description"));
            }
            look_at_name(name, about, &about["description"], &path, complaints);
            look_into(&without_null(about), &path, complaints);
        }
    }
    for part in schema.get("items").into_iter().chain(map_values(schema)) {
        look_into(&without_null(part), &format!("{path}[]"), complaints);
    }
    for branch in ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten() {
        // A variant is described beside its key, not below it.
        match branch["properties"].as_object().filter(|keys| keys.len() == 1).and_then(|keys| keys.iter().next()) {
            Some((key, about)) => {
                let path = format!("{path}.{key}");
                look_at_name(key, about, &branch["description"], &path, complaints);
                look_into(&without_null(about), &path, complaints);
            }
            None => look_into(branch, path, complaints),
        }
    }
}

fn look_at_name(name: &str, about: &Value, description: &Value, path: &str, complaints: &mut Vec<String>) {
    let sounds_secret = |text: &str| {
        let text = text.to_lowercase();
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        words.any(|word| SECRET_WORDS.contains(&word.strip_suffix('s').unwrap_or(word)))
    };
    let inner = without_null(about);
    let holds = [&inner, &inner["items"], map_values(&inner).unwrap_or(&Value::Null)];
    let is_text = holds.iter().any(|schema| schema["type"] == "string");
    let secret = holds.iter().any(|schema| is_secret(schema));
    if is_text && sounds_secret(name) && !secret && about[PUBLIC] != true {
        complaints.push(format!("{path} should be a Secret"));
    }
    if secret && !sounds_secret(name) && !description.as_str().is_some_and(sounds_secret) {
        complaints.push(format!("{path} is a Secret, but neither its name nor its description says so"));
    }
}

/// Where a value does not fit the schema's types, keys and choices.
fn misfits(schema: &Value, value: &Value, path: &str, complaints: &mut Vec<String>) {
    let branches: Vec<&Value> =
        ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten().collect();
    if !branches.is_empty() {
        let fits = branches.iter().any(|branch| {
            let mut found = Vec::new();
            misfits(branch, value, path, &mut found);
            found.is_empty()
        });
        if !fits {
            complaints.push(format!("the example's {path} fits none of its forms: {value}"));
        }
        return;
    }
    let is = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(only) => vec![only],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let other_type = !types.is_empty() && !types.iter().any(|name| is(name));
    let other_word = schema.get("const").is_some_and(|only| only != value)
        || schema["enum"].as_array().is_some_and(|words| !words.contains(value));
    let too_far = schema["minimum"].as_f64().is_some_and(|least| value.as_f64().is_some_and(|it| it < least))
        || schema["maximum"].as_f64().is_some_and(|most| value.as_f64().is_some_and(|it| it > most));
    if other_type || other_word || too_far {
        complaints.push(format!("the example's {path} does not fit: {value}"));
        return;
    }
    if let Some(map) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                complaints.push(format!("the example leaves out {path}.{name}"));
            }
        }
        for (key, inner) in map {
            let path = format!("{path}.{key}");
            match schema["properties"].get(key).or_else(|| map_values(schema)) {
                Some(about) => misfits(about, inner, &path, complaints),
                None if schema["additionalProperties"] == false => {
                    complaints.push(format!("the example's {path} is not in the schema"));
                }
                None => {}
            }
        }
    }
    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
        let about = schema["prefixItems"].get(index).unwrap_or(&schema["items"]);
        misfits(about, inner, &format!("{path}[{index}]"), complaints);
    }
}
