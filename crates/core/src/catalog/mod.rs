//! Everything that follows from a kind's schema: form, manual, redaction, kept secrets, and the rules kinds obey.
//!
//! A kind is defined once, as a struct with doc comments. What is here reads that definition through its JSON
//! schema and never names a kind, so that it holds for the kind that is not yet written.

mod form;
mod manual;
mod rules;
mod secrets;
mod yaml;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

pub use form::{Control, Field, fields};
pub use manual::manual;
pub use rules::complaints_about;
pub use secrets::{HIDDEN, keep_secrets, map_secrets, redact, secret_paths};
pub use yaml::to_yaml;

use crate::kind::Entry;

/// Definitions inside definitions go no deeper than this; a type that contains itself ends here as "anything".
const DEEPEST: usize = 12;

/// Marks where a schema was cut because it contains itself; the rules refuse such kinds.
const ENDLESS: &str = "x-endless";

/// The schema of one kind, whole: every reference is replaced by what it refers to.
pub fn schema(entry: &Entry) -> Value {
    let mut generator = SchemaSettings::default().into_generator();
    let schema = (entry.schema)(&mut generator);
    whole(&Value::from(schema), &mut generator)
}

/// The schema of any settings, whole, for what is not a kind: a heartbeat, the defaults, an account.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut generator = SchemaSettings::default().into_generator();
    let schema = generator.subschema_for::<T>();
    whole(&Value::from(schema), &mut generator)
}

fn whole(schema: &Value, generator: &mut SchemaGenerator) -> Value {
    let definitions = generator.take_definitions(true);
    resolve(schema, &definitions, &mut Vec::new())
}

/// Replaces `$ref` by the definition it names. What stands beside the reference wins over the definition:
/// a field's own description over its type's.
fn resolve<'a>(schema: &'a Value, definitions: &'a Map<String, Value>, within: &mut Vec<&'a str>) -> Value {
    let Value::Object(schema) = schema else { return schema.clone() };
    let mut resolved = Map::new();
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/")) {
        let again = within.iter().filter(|outer| **outer == name).count();
        if let Some(definition) = definitions.get(name)
            && again < 2
            && within.len() < DEEPEST
        {
            within.push(name);
            if let Value::Object(definition) = resolve(definition, definitions, within) {
                resolved = definition;
            }
            within.pop();
        } else {
            resolved.insert(ENDLESS.into(), true.into());
        }
    }
    for (key, value) in schema {
        let value = match (key.as_str(), value) {
            ("$ref", _) => continue,
            ("properties" | "patternProperties", Value::Object(fields)) => Value::Object(
                fields.iter().map(|(name, field)| (name.clone(), resolve(field, definitions, within))).collect(),
            ),
            ("items" | "additionalProperties", value) => resolve(value, definitions, within),
            ("oneOf" | "anyOf" | "prefixItems", Value::Array(parts)) => {
                Value::Array(parts.iter().map(|part| resolve(part, definitions, within)).collect())
            }
            // One definition with something added to it: the additions are merged in.
            ("allOf", Value::Array(parts)) => {
                for part in parts {
                    if let Value::Object(part) = resolve(part, definitions, within) {
                        resolved.extend(part);
                    }
                }
                continue;
            }
            (_, value) => value.clone(),
        };
        resolved.insert(key.clone(), value);
    }
    Value::Object(resolved)
}

/// The same schema without "or nothing": what an optional field holds when it holds something.
fn without_null(schema: &Value) -> Value {
    let Value::Object(parts) = schema else { return schema.clone() };
    let mut parts = parts.clone();
    if let Some(Value::Array(types)) = parts.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            parts.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = parts.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    for key in ["anyOf", "oneOf"] {
        let Some(Value::Array(branches)) = parts.get_mut(key) else { continue };
        branches.retain(|branch| branch["type"] != "null");
        if let [Value::Object(only)] = branches.as_slice() {
            let mut merged = only.clone();
            parts.shift_remove(key);
            merged.extend(parts);
            return without_null(&Value::Object(merged));
        }
    }
    Value::Object(parts)
}

/// What the values of a map with free keys hold. Keys that must look like slugs are `patternProperties`.
fn map_values(schema: &Value) -> Option<&Value> {
    let patterned = schema["patternProperties"].as_object().and_then(|patterns| patterns.values().next());
    patterned.or_else(|| Some(&schema["additionalProperties"]).filter(|about| about.is_object()))
}

/// Whether the whole value is a secret.
fn is_secret(schema: &Value) -> bool {
    schema["writeOnly"] == true
}

#[cfg(test)]
mod tests;
