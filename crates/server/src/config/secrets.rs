//! Which values of a configuration are secrets, and secrets that stand in files of their own.
//!
//! The schema tells: what is a `Secret` in our types is `writeOnly` there.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use watchbell_core::catalog;

use super::complain::{Fault, Place};
use super::spec::ConfigFile;
use super::tree::{Content, Node};

/// A key or a certificate is small; a larger file is a mistake.
const LARGEST: u64 = 64 * 1024;

static SCHEMA: LazyLock<Value> = LazyLock::new(catalog::schema_of::<ConfigFile>);

/// Replaces `file:/path` in secrets by what the file holds, without surrounding white space. Relative paths begin in
/// `folder`. Returns where secrets stand (and how wide), the files read, and what could not be read.
pub(super) fn fetch(root: &mut Node, folder: &Path) -> Fetched {
    let mut fetched = Fetched::default();
    each_secret(&SCHEMA, root, &mut |node, known| {
        let Content::Scalar(scalar) = &mut node.content else { return };
        if !known {
            fetched.places.push((node.at, scalar.width));
            return;
        }
        let Some(path) = scalar.text.strip_prefix("file:") else {
            // A variable stands in the file by its name, which may be shown.
            if scalar.written.is_none() {
                fetched.places.push((node.at, scalar.width));
            }
            return;
        };
        let path = folder.join(path);
        match read(&path) {
            Ok(text) => {
                scalar.written = Some(scalar.text.clone());
                scalar.text = text;
                scalar.plain = false;
            }
            Err(why) => fetched
                .faults
                .push(Fault::new(node.at, format!("The secret cannot be read from {}: {why}.", path.display()))),
        }
        fetched.files.push(path);
    });
    fetched
}

#[derive(Default)]
pub(super) struct Fetched {
    pub places: Vec<(Place, u32)>,
    pub files: Vec<PathBuf>,
    pub faults: Vec<Fault>,
}

fn read(path: &Path) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no file".into());
    }
    if about.len() > LARGEST {
        return Err(format!("it is larger than {} KiB", LARGEST / 1024));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "it holds bytes that are no text".to_owned())?;
    match text.trim() {
        "" => Err("it is empty".into()),
        text => Ok(text.to_owned()),
    }
}

/// Visits every secret (`true`), and what may be one under a misspelled key (`false`).
fn each_secret(schema: &Value, node: &mut Node, visit: &mut dyn FnMut(&mut Node, bool)) {
    if schema["writeOnly"] == true {
        visit(node, true);
        return;
    }
    for family in ["oneOf", "anyOf", "allOf"] {
        for choice in schema[family].as_array().into_iter().flatten() {
            each_secret(choice, node, visit);
        }
    }
    match &mut node.content {
        Content::Map(entries) => {
            for entry in entries {
                match schema["properties"].get(&entry.key) {
                    Some(schema) => each_secret(schema, &mut entry.value, visit),
                    None if schema["additionalProperties"].is_object() => {
                        each_secret(&schema["additionalProperties"], &mut entry.value, visit);
                    }
                    None if has_secrets(schema) => visit(&mut entry.value, false),
                    None => {
                        for schema in schema["patternProperties"].as_object().into_iter().flat_map(|it| it.values()) {
                            each_secret(schema, &mut entry.value, visit);
                        }
                    }
                }
            }
        }
        Content::List(items) => {
            if schema["items"].is_object() {
                for item in items {
                    each_secret(&schema["items"], item, visit);
                }
            }
        }
        Content::Scalar(_) => {}
    }
}

fn has_secrets(schema: &Value) -> bool {
    schema["properties"].as_object().is_some_and(|fields| fields.values().any(|field| field["writeOnly"] == true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse;

    #[test]
    fn secrets_are_found_wherever_they_lie_and_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "  hunter2\n").unwrap();
        let text = "ping_key: k3v9\nchannels:\n  a: {telegram: {token: file:token, chat_id: file:token}}\n\
                    monitors:\n  b:\n    heartbeat: {interval: 1m, push_token: file:gone}\n";
        let mut root = parse(0, text, &|_| None).0.unwrap();
        let fetched = fetch(&mut root, folder.path());

        let telegram = root.entry("channels").unwrap().value.entry("a").unwrap().value.entry("telegram").unwrap();
        let text_of = |key: &str| match &telegram.value.entry(key).unwrap().value.content {
            Content::Scalar(scalar) => scalar.text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text_of("token"), "hunter2");
        assert_eq!(text_of("chat_id"), "file:token", "only secrets are looked up");
        assert_eq!(fetched.places, [(Place::new(0, 1, 11), 4)]);
        assert_eq!(fetched.files, [folder.path().join("token"), folder.path().join("gone")]);
        assert_eq!(fetched.faults.len(), 1);
        assert!(fetched.faults[0].sentence.contains("gone: No such file"), "{}", fetched.faults[0].sentence);
        assert_eq!(fetched.faults[0].at, Place::new(0, 6, 43));
    }

    #[test]
    fn a_secret_file_must_hold_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let said = |content: &[u8]| {
            std::fs::write(folder.path().join("f"), content).unwrap();
            read(&folder.path().join("f")).unwrap_err()
        };
        assert_eq!(said(b"\n \n"), "it is empty");
        assert_eq!(said(&[0xff, 0xfe]), "it holds bytes that are no text");
        assert_eq!(said(&vec![b'a'; 70_000]), "it is larger than 64 KiB");
        assert_eq!(read(folder.path()).unwrap_err(), "it is no file");
    }
}
