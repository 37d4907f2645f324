//! Secrets inside settings, found by the schema's `writeOnly` however deep they lie: hidden when settings are
//! read, kept when they come back unchanged, and handed one by one to whoever seals or fetches them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{is_secret, map_values, without_null};

/// Stands for a secret that is set. A setting that comes back with it keeps the secret it had.
pub const HIDDEN: &str = "•••";

/// Replaces every secret by [`HIDDEN`]. Here and below, `schema` is a whole one, as [`super::schema`] gives it.
pub fn redact(schema: &Value, value: &mut Value) {
    for place in places(schema, value) {
        if let Some(secret) = at(value, &place) {
            *secret = HIDDEN.into();
        }
    }
}

/// The paths of all secrets that are set: `auth.basic.password`, `headers[0].value`.
pub fn secret_paths(schema: &Value, value: &Value) -> Vec<String> {
    places(schema, value).iter().map(|place| written(place)).collect()
}

/// Offers every secret that is set, with its path, and replaces those for which something is given back.
/// Each is offered once. Used to seal and open them at rest, and to fetch what `file:` refers to.
pub fn map_secrets(schema: &Value, value: &mut Value, change: &mut dyn FnMut(&str, &str) -> Option<String>) {
    for place in places(schema, value) {
        if let Some(secret) = at(value, &place)
            && let Some(text) = secret.as_str()
            && let Some(new) = change(&written(&place), text)
        {
            *secret = new.into();
        }
    }
}

/// Puts the secrets of `old` where `new` holds [`HIDDEN`] or leaves them out; `null` takes a secret away.
/// Gives the paths of those that came hidden although there is no old one: they are left out of `new`, and
/// whoever sent it must give them.
pub fn keep_secrets(schema: &Value, new: &mut Value, old: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    keep(schema, new, Some(old), true, &mut Vec::new(), &mut unknown);
    unknown.iter().map(|place| written(place)).collect()
}

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

fn written(place: &[Step]) -> String {
    let mut out = String::new();
    for step in place {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => out.push_str(&format!(".{key}")),
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

fn at<'a>(value: &'a mut Value, place: &[Step]) -> Option<&'a mut Value> {
    place.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

/// Where secrets are, each place once even if several branches of a choice lead to it.
fn places(schema: &Value, value: &Value) -> BTreeSet<Vec<Step>> {
    let mut found = BTreeSet::new();
    collect(schema, value, &mut Vec::new(), &mut found);
    found
}

fn collect(schema: &Value, value: &Value, place: &mut Vec<Step>, found: &mut BTreeSet<Vec<Step>>) {
    if is_secret(schema) {
        if !value.is_null() {
            found.insert(place.clone());
        }
        return;
    }
    for branch in branches(schema) {
        collect(branch, value, place, found);
    }
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if let Some(about) = about_key(schema, key) {
                    place.push(Step::Key(key.clone()));
                    collect(about, inner, place, found);
                    place.pop();
                }
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                if let Some(about) = about_index(schema, index) {
                    place.push(Step::Index(index));
                    collect(about, inner, place, found);
                    place.pop();
                }
            }
        }
        _ => {}
    }
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten()
}

fn about_key<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema["properties"].get(key).or_else(|| map_values(schema))
}

fn about_index(schema: &Value, index: usize) -> Option<&Value> {
    schema["prefixItems"].get(index).or_else(|| Some(&schema["items"]).filter(|about| about.is_object()))
}

/// Whether `new` still holds a hidden secret that nobody knows, and so must be taken out by the caller.
fn keep(
    schema: &Value,
    new: &mut Value,
    old: Option<&Value>,
    fill_absent: bool,
    place: &mut Vec<Step>,
    unknown: &mut Vec<Vec<Step>>,
) -> bool {
    let schema = &without_null(schema);
    if is_secret(schema) {
        if new != HIDDEN {
            return false;
        }
        if let Some(known) = old.filter(|old| !old.is_null()) {
            *new = known.clone();
            return false;
        }
        unknown.push(place.clone());
        return true;
    }
    let mut lost = false;
    for branch in branches(schema) {
        if is_meant(branch, new) {
            lost |= keep(branch, new, old, fill_absent, place, unknown);
        }
    }
    match new {
        Value::Object(map) => keep_in_map(schema, map, old, fill_absent, place, unknown),
        Value::Array(list) => keep_in_list(schema, list, old, place, unknown),
        _ => {}
    }
    lost
}

/// Whether a branch of a choice is the one that `value` takes: `{"basic": …}` takes the branch that needs `basic`.
fn is_meant(branch: &Value, value: &Value) -> bool {
    branch["required"]
        .as_array()
        .is_none_or(|names| names.iter().filter_map(Value::as_str).all(|name| value.get(name).is_some()))
}

fn keep_in_map(
    schema: &Value,
    map: &mut Map<String, Value>,
    old: Option<&Value>,
    fill_absent: bool,
    place: &mut Vec<Step>,
    unknown: &mut Vec<Vec<Step>>,
) {
    let mut lost = Vec::new();
    for (key, inner) in map.iter_mut() {
        let Some(about) = about_key(schema, key) else { continue };
        place.push(Step::Key(key.clone()));
        if keep(about, inner, old.and_then(|old| old.get(key)), fill_absent, place, unknown) {
            lost.push(key.clone());
        }
        place.pop();
    }
    for key in lost {
        map.shift_remove(&key);
    }
    if !fill_absent {
        return;
    }
    for (key, about) in schema["properties"].as_object().into_iter().flatten() {
        if !map.contains_key(key)
            && is_secret(&without_null(about))
            && let Some(known) = old.and_then(|old| old.get(key)).filter(|known| !known.is_null())
        {
            map.insert(key.clone(), known.clone());
        }
    }
}

/// Items are paired by what is not secret in them, so that a list that was reordered or shortened keeps each
/// secret with its item; an item that was edited is paired with the one in the same place.
fn keep_in_list(
    schema: &Value,
    list: &mut Vec<Value>,
    old: Option<&Value>,
    place: &mut Vec<Step>,
    unknown: &mut Vec<Vec<Step>>,
) {
    let old: &[Value] = old.and_then(Value::as_array).map_or(&[], Vec::as_slice);
    let open = |index: usize, item: &Value| about_index(schema, index).map(|about| without_secrets(about, item));
    let seen: Vec<_> = old.iter().enumerate().map(|(index, item)| open(index, item)).collect();
    let shown: Vec<_> = list.iter().enumerate().map(|(index, item)| open(index, item)).collect();
    let mut pairs: Vec<Option<usize>> = vec![None; list.len()];
    let mut free: BTreeSet<usize> = (0..old.len()).collect();
    // Bare secrets all look alike: when some are gone nobody can tell which.
    let ambiguous = list.len() < old.len() && shown.iter().any(|shown| *shown == Some(Value::Null));
    if !ambiguous {
        for (index, shown) in shown.iter().enumerate() {
            if free.contains(&index) && seen[index] == *shown {
                free.remove(&index);
                pairs[index] = Some(index);
            }
        }
        for (index, shown) in shown.iter().enumerate() {
            if pairs[index].is_none()
                && let Some(found) = free.iter().copied().find(|&other| seen[other] == *shown)
            {
                free.remove(&found);
                pairs[index] = Some(found);
            }
        }
    }
    let same_length = list.len() == old.len();
    let mut lost = Vec::new();
    for (index, item) in list.iter_mut().enumerate() {
        let Some(about) = about_index(schema, index) else { continue };
        let edited = (same_length && free.contains(&index)).then_some(index);
        let known = pairs[index].or(edited).map(|index| &old[index]);
        place.push(Step::Index(index));
        if keep(about, item, known, pairs[index].is_some(), place, unknown) {
            lost.push(index);
        }
        place.pop();
    }
    for index in lost.into_iter().rev() {
        list.remove(index);
    }
}

fn without_secrets(schema: &Value, value: &Value) -> Value {
    let mut open = value.clone();
    for place in places(schema, value) {
        let Some((last, above)) = place.split_last() else { return Value::Null };
        match (at(&mut open, above), last) {
            (Some(Value::Object(map)), Step::Key(key)) => {
                map.shift_remove(key);
            }
            (Some(Value::Array(list)), Step::Index(index)) => list[*index] = Value::Null,
            _ => {}
        }
    }
    open
}
