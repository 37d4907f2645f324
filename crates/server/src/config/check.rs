//! What parses but cannot work, each with the place of the value it is about.

use std::collections::{BTreeMap, HashMap};

use watchbell_core::Slug;
use watchbell_core::kind::Complaint;
use watchbell_probe::Probe;

use super::complain::{Fault, Place, nearest, one_of};
use super::spec::{ConfigFile, Defaults, MonitorSpec};
use super::tree::{Content, Entry, Node};

/// Judges what was read from `root` as a whole.
pub(super) fn check(file: &ConfigFile, root: &Node) -> Vec<Fault> {
    let mut faults = Vec::new();
    general(file, root, &mut faults);
    channels(file, root, &mut faults);
    monitors(file, root, &mut faults);
    addresses(file, root, &mut faults);
    faults
}

fn general(file: &ConfigFile, root: &Node, faults: &mut Vec<Fault>) {
    if let Some(url) = &file.base_url
        && !matches!(url.scheme(), "http" | "https")
    {
        faults.push(Fault::new(find(root, "base_url").at, "`base_url` begins with `http://` or `https://`."));
    }
    if let Some(key) = &file.ping_key
        && (key.expose().chars().count() < 8
            || !key.expose().chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)))
    {
        let sentence = "`ping_key` is part of an address: at least 8 letters, digits, `-` and `_`.";
        faults.push(Fault::new(find(root, "ping_key").at, sentence));
    }
    if let Some(fallback) = &file.fallback
        && !file.channels.contains_key(fallback)
    {
        faults.push(Fault::new(find(root, "fallback").at, no_channel(fallback, file)));
    }
    for (field, value, least) in [("pings", file.retention.pings, 1), ("ping_body", file.retention.ping_body, 0)] {
        if !(least..=100_000).contains(&value) {
            let at = find(root, &format!("retention.{field}")).at;
            faults.push(Fault::new(at, format!("`{field}` is a number from {least} to 100000, not {value}.")));
        }
    }
    // Defaults are judged as a monitor that says nothing itself.
    let plain = MonitorSpec { probe: Some(example()), ..MonitorSpec::default() };
    for complaint in plain.validate(&file.defaults, &|_| true) {
        let found = find(root, &format!("defaults.{}", complaint.field));
        if found.whole {
            faults.push(Fault::new(found.at, complaint.sentence));
        }
    }
    notified(file, &file.defaults.notify, root.entry("defaults").map(|entry| &entry.value), faults);
}

fn example() -> Probe {
    use watchbell_core::kind::Kind;
    Probe::Tcp(Kind::example())
}

fn channels(file: &ConfigFile, root: &Node, faults: &mut Vec<Fault>) {
    for (slug, channel) in &file.channels {
        for complaint in channel.validate() {
            let found = find(root, &format!("channels.{slug}.{}.{}", channel.kind(), complaint.field));
            faults.push(Fault::new(found.at, complaint.sentence).about(slug));
        }
    }
}

fn monitors(file: &ConfigFile, root: &Node, faults: &mut Vec<Fault>) {
    // By name once: looking through a hundred thousand for each of them takes half a minute.
    let nodes = root.entry("monitors").map_or(&[][..], |entry| entry.value.entries());
    let nodes: HashMap<&str, &Entry> = nodes.iter().map(|entry| (entry.key.as_str(), entry)).collect();
    for (slug, monitor) in &file.monitors {
        let Some(entry) = nodes.get(slug.as_str()) else { continue };
        let mut said = Vec::new();
        for complaint in said_by(monitor, &file.defaults) {
            let found = find(&entry.value, &complaint.field);
            // Told once, at the defaults.
            if !found.whole && find(root, &format!("defaults.{}", complaint.field)).whole {
                continue;
            }
            let at = if found.depth == 0 { entry.key_at } else { found.at };
            said.push(Fault::new(at, complaint.sentence));
        }
        notified(file, &monitor.notify, Some(&entry.value), &mut said);
        faults.extend(said.into_iter().map(|fault| fault.about(slug)));
    }
}

/// Complaints of a monitor, but those about channels: [`notified`] knows the item and the nearest name.
fn said_by(monitor: &MonitorSpec, defaults: &Defaults) -> Vec<Complaint> {
    monitor.validate(defaults, &|_| true)
}

fn notified(file: &ConfigFile, notify: &Option<Vec<Slug>>, node: Option<&Node>, faults: &mut Vec<Fault>) {
    for (index, slug) in notify.iter().flatten().enumerate().filter(|(_, slug)| !file.channels.contains_key(*slug)) {
        if let Some(node) = node {
            faults.push(Fault::new(find(node, &format!("notify[{index}]")).at, no_channel(slug, file)));
        }
    }
}

fn no_channel(slug: &Slug, file: &ConfigFile) -> String {
    let known = || file.channels.keys().map(Slug::as_str);
    match nearest(slug.as_str(), known()) {
        Some(near) => format!("There is no channel `{slug}`; did you mean `{near}`?"),
        None if file.channels.is_empty() => format!("There is no channel `{slug}`; `channels` names none."),
        None => format!("There is no channel `{slug}`; there is {}.", one_of(known().take(10))),
    }
}

/// Two heartbeats at one address would each hear the other's job.
fn addresses(file: &ConfigFile, root: &Node, faults: &mut Vec<Fault>) {
    let mut taken: BTreeMap<String, &Slug> = BTreeMap::new();
    for (slug, monitor) in &file.monitors {
        let Some(beat) = &monitor.heartbeat else { continue };
        let by_id = beat.ping_id.map(|id| ("ping_id", format!("/ping/{id}")));
        let by_token = beat.push_token.as_ref().map(|token| ("push_token", format!("/api/push/{}", token.expose())));
        for (field, address) in by_id.into_iter().chain(by_token) {
            if let Some(other) = taken.insert(address, slug) {
                let at = find(root, &format!("monitors.{slug}.heartbeat.{field}")).at;
                faults
                    .push(Fault::new(at, format!("`{other}` has the same `{field}`; each needs its own.")).about(slug));
            }
        }
    }
}

/// What a path led to.
struct Found {
    /// Of the value, or of the key of the innermost part that is there.
    at: Place,
    /// The whole path is there.
    whole: bool,
    /// So many parts of it are.
    depth: usize,
}

/// Follows a path like `probe.http.assertions[0].regex`.
fn find(root: &Node, path: &str) -> Found {
    let mut node = root;
    let mut found = Found { at: root.at, whole: true, depth: 0 };
    let mut rest = path;
    while !rest.is_empty() {
        let next = if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').unwrap_or((after, ""));
            let item = match (&node.content, index.parse::<usize>()) {
                (Content::List(items), Ok(index)) => items.get(index),
                _ => None,
            };
            item.map(|item| (item.at, item, after))
        } else {
            // A key may hold dots itself, as header names and hosts do: the longest that is there is meant.
            let entry = node
                .entries()
                .iter()
                .filter(|entry| {
                    rest.strip_prefix(entry.key.as_str())
                        .is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
                })
                .max_by_key(|entry| entry.key.len());
            entry.map(|entry| {
                let structured = !matches!(entry.value.content, Content::Scalar(_)) || entry.value.is_null();
                let at = if structured { entry.key_at } else { entry.value.at };
                (at, &entry.value, &rest[entry.key.len()..])
            })
        };
        let Some((at, value, after)) = next else {
            found.whole = false;
            return found;
        };
        found = Found { at, whole: true, depth: found.depth + 1 };
        node = value;
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse;

    #[test]
    fn a_path_leads_to_the_value_or_to_the_innermost_key_there_is() {
        let text = "a:\n  b: [x, {c: 5}]\n  x.y: 7\n";
        let root = parse(0, text, &|_| None).0.unwrap();
        let at = |path: &str| {
            let found = find(&root, path);
            (found.at.line, found.at.column, found.whole)
        };
        assert_eq!(at("a.b[1].c"), (2, 14, true));
        assert_eq!(at("a.b[0]"), (2, 7, true));
        assert_eq!(at("a.b[7].c"), (2, 3, false));
        assert_eq!(at("a.x.y"), (3, 8, true));
        assert_eq!(at("a.nope.deeper"), (1, 1, false));
        assert_eq!(at("nope"), (1, 1, false));
    }
}
