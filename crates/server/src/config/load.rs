//! From files to a configuration, or to every mistake in them at once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use watchbell_core::kind::Entry as KindEntry;
use watchbell_core::{Slug, catalog};
use watchbell_notify::Channel;
use watchbell_probe::Probe;

use super::check::check;
use super::complain::{ConfigError, Fault, Place, Source, capital};
use super::decode::decode;
use super::secrets;
use super::spec::{ConfigFile, MonitorSpec};
use super::tree::{Content, Entry, Node, parse};
use super::variables::Variables;

/// One file is at most this large; a folder holds more.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;
/// More files than this are another folder than was meant.
const MOST_FILES: usize = 1000;

/// A configuration that can be applied.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub file: ConfigFile,
    /// Every file that was read for it, secrets' files too.
    pub read: Vec<PathBuf>,
}

/// [`load`], with every mistake told as one error; without a path, nothing is configured.
pub(crate) fn load_or_empty(path: Option<&Path>) -> anyhow::Result<Loaded> {
    match path {
        None => Ok(Loaded { file: ConfigFile::default(), read: Vec::new() }),
        Some(path) => load(path).map_err(|errors| Unusable(errors).into()),
    }
}

/// A configuration with mistakes; it prints as all of them.
#[derive(Debug)]
pub(crate) struct Unusable(pub Vec<ConfigError>);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unusable {}

/// Reads one YAML file, or all `*.yaml` and `*.yml` of a folder as if they were one. Variables come from the environment.
pub(crate) fn load(path: &Path) -> Result<Loaded, Vec<ConfigError>> {
    load_with(path, &|name| std::env::var(name).ok())
}

pub(super) fn load_with(path: &Path, variables: &Variables<'_>) -> Result<Loaded, Vec<ConfigError>> {
    let mut read = files(path).map_err(|error| vec![error])?;
    let mut sources = Vec::new();
    let mut errors = Vec::new();
    for path in &read {
        match text_of(path) {
            Ok(text) => sources.push(Source { path: path.clone(), text, secrets: Vec::new() }),
            Err(error) => errors.push(error),
        }
    }
    let mut faults = Vec::new();
    let mut trees = Vec::new();
    for (number, source) in sources.iter_mut().enumerate() {
        let (tree, said) = parse(number, &source.text, variables);
        faults.extend(said);
        let Some(mut tree) = tree else { continue };
        if !matches!(tree.content, Content::Map(_)) {
            faults.push(Fault::new(tree.at, "A configuration is a map; begin with a line like `monitors:`."));
            continue;
        }
        let folder = source.path.parent().unwrap_or(Path::new("."));
        let fetched = secrets::fetch(&mut tree, folder);
        faults.extend(fetched.faults);
        source.secrets = fetched.places;
        read.extend(fetched.files);
        trees.push(tree);
    }
    // What is in a file that cannot be read is not missing; judging the rest would accuse wrongly.
    let complete = trees.len() == sources.len() && errors.is_empty();
    let root = unite(trees, &sources, &mut faults);
    let file = decode_all(&root, &mut faults);
    if let Some(file) = &file
        && complete
        && faults.is_empty()
    {
        faults.extend(check(file, &root));
    }
    faults.sort_by_key(|fault| fault.at);
    faults.dedup();
    errors.extend(faults.into_iter().map(|fault| ConfigError::at(fault, &sources)));
    match file {
        Some(file) if errors.is_empty() => Ok(Loaded { file, read }),
        _ => Err(errors),
    }
}

/// The files that `path` stands for, by name.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "give the right path with `--config`, or create it",
            std::io::ErrorKind::PermissionDenied => "let the user that Watchbell runs as read it",
            _ => "see whether it is whole",
        };
        ConfigError::of_file(path, format!("The configuration cannot be read: {error}; {hint}."))
    };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let hidden = file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if yaml && !hidden && !file.is_dir() {
            files.push(file);
        }
        if files.len() > MOST_FILES {
            let sentence = format!("The folder holds more than {MOST_FILES} YAML files; is it the right one?");
            return Err(ConfigError::of_file(path, sentence));
        }
    }
    if files.is_empty() {
        return Err(ConfigError::of_file(path, "The folder holds no `*.yaml` and no `*.yml` file."));
    }
    files.sort();
    Ok(files)
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |error: std::io::Error| {
        ConfigError::of_file(path, format!("The file cannot be read: {error}. Is it there, and may Watchbell read it?"))
    };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(ConfigError::of_file(path, "This is no file."));
    }
    if about.len() > LARGEST_FILE {
        let sentence =
            format!("The file is larger than {} MiB; split it into a folder of files.", LARGEST_FILE / 1024 / 1024);
        return Err(ConfigError::of_file(path, sentence));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        ConfigError::of_file(path, format!("Line {line} holds bytes that are not UTF-8; save the file as UTF-8."))
    })
}

/// One tree of several: maps are united, anything said twice is a fault that names both places.
fn unite(trees: Vec<Node>, sources: &[Source], faults: &mut Vec<Fault>) -> Node {
    let mut trees = trees.into_iter();
    let Some(mut root) = trees.next() else {
        return Node { at: Place::new(0, 1, 1), content: Content::Map(Vec::new()) };
    };
    for tree in trees {
        let Content::Map(more) = tree.content else { continue };
        let Content::Map(entries) = &mut root.content else { continue };
        for entry in more {
            match entries.iter_mut().find(|own| own.key == entry.key) {
                Some(own) => unite_entry(own, entry, sources, faults),
                None => entries.push(entry),
            }
        }
    }
    root
}

fn unite_entry(own: &mut Entry, other: Entry, sources: &[Source], faults: &mut Vec<Fault>) {
    if other.value.is_null() {
        return;
    }
    if own.value.is_null() {
        *own = other;
        return;
    }
    let mut twice = |key: &str, first: &Entry, again: &Entry| {
        let path = sources[first.key_at.file as usize].path.display();
        let place = format!("{path}:{}:{}", first.key_at.line, first.key_at.column);
        faults.push(Fault::new(again.key_at, format!("`{key}` is in {place} too; it can be in one file only.")));
    };
    if let (Content::Map(_), Content::Map(_)) = (&own.value.content, &other.value.content) {
        let Content::Map(more) = other.value.content else { return };
        let Content::Map(entries) = &mut own.value.content else { return };
        // By name: a hundred thousand monitors may come from ten files. A file alone names nothing twice.
        let known: HashMap<&str, &Entry> = entries.iter().map(|entry| (entry.key.as_str(), entry)).collect();
        let (again, new): (Vec<Entry>, Vec<Entry>) =
            more.into_iter().partition(|entry| known.contains_key(entry.key.as_str()));
        for entry in &again {
            if let Some(first) = known.get(entry.key.as_str()) {
                twice(&entry.key, first, entry);
            }
        }
        entries.extend(new);
    } else {
        twice(&own.key, own, &other);
    }
}

/// Reads every monitor and channel for itself, so that one mistake hides no other.
fn decode_all(root: &Node, faults: &mut Vec<Fault>) -> Option<ConfigFile> {
    let before = faults.len();
    let general = root.entries().iter().filter(|entry| !matches!(entry.key.as_str(), "monitors" | "channels"));
    let rest = Node { at: root.at, content: Content::Map(general.cloned().collect()) };
    let file = decode_each::<ConfigFile>(rest, root.at).map_err(|said| faults.extend(said)).ok();
    let channels = decode_map(root, "channels", faults, |entry| {
        decode::<Channel>(&entry.value, entry.key_at).map_err(|fault| vec![fault])
    });
    let monitors =
        decode_map(root, "monitors", faults, |entry| decode_each::<MonitorSpec>(entry.value.clone(), entry.key_at));
    let file = file?;
    (faults.len() == before).then_some(ConfigFile { channels, monitors, ..file })
}

/// Reads a struct whose fields are all optional: after a mistake it looks on without the entry that holds it.
fn decode_each<T: DeserializeOwned>(mut node: Node, named_at: Place) -> Result<T, Vec<Fault>> {
    let mut faults = Vec::new();
    loop {
        match decode(&node, named_at) {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => return Err(faults),
            Err(fault) => {
                let at = fault.at;
                faults.push(fault);
                let Content::Map(entries) = &mut node.content else { return Err(faults) };
                // Of the entries that begin before the mistake, the last one holds it.
                let before = entries.iter().enumerate().filter(|(_, entry)| entry.key_at <= at);
                let Some((index, _)) = before.max_by_key(|(_, entry)| entry.key_at) else { return Err(faults) };
                entries.remove(index);
            }
        }
    }
}

fn decode_map<T>(
    root: &Node,
    key: &str,
    faults: &mut Vec<Fault>,
    decode: impl Fn(&Entry) -> Result<T, Vec<Fault>>,
) -> BTreeMap<Slug, T> {
    let mut read = BTreeMap::new();
    let Some(all) = root.entry(key) else { return read };
    if !matches!(all.value.content, Content::Map(_)) && !all.value.is_null() {
        let example =
            if key == "monitors" { "shop: {probe: {http: {url: …}}}" } else { "ops: {webhook: {url: …}}" };
        faults.push(Fault::new(all.value.at, format!("Expected a map by slug, like `{example}`, under `{key}`.")));
        return read;
    }
    for entry in all.value.entries() {
        let slug = match entry.key.parse::<Slug>() {
            Ok(slug) => slug,
            Err(why) => {
                let hint = Slug::from_name(&entry.key)
                    .map_or(String::new(), |near| format!(" For example `{near}`, with a `name`."));
                let hint = if key == "monitors" { hint } else { String::new() };
                faults.push(Fault::new(entry.key_at, format!("{}.{hint}", capital(&why))));
                continue;
            }
        };
        match decode(entry) {
            Ok(value) => {
                read.insert(slug, value);
            }
            Err(said) => faults.extend(said.into_iter().map(|fault| with_hint(fault, entry, key).about(&slug))),
        }
    }
    read
}

/// A setting of a kind, written one level too high: says where it belongs.
fn with_hint(mut fault: Fault, entry: &Entry, key: &str) -> Fault {
    let Some(misplaced) = entry.value.entries().iter().find(|inner| inner.key_at == fault.at) else { return fault };
    let (kinds, family): (&[KindEntry], &str) =
        if key == "monitors" { (Probe::ALL, "probe: ") } else { (Channel::ALL, "") };
    let name = misplaced.key.as_str();
    if fault.sentence.contains("did you mean") || !fault.sentence.contains("is no setting here") {
        return fault;
    }
    if kinds.iter().any(|kind| kind.name == name) {
        fault.sentence = format!("`{name}` belongs one level deeper: `{family}{{{name}: {{…}}}}`.");
    } else if let Some(kind) = kinds.iter().find(|kind| has_setting(kind, name)) {
        fault.sentence = format!("`{name}` belongs to its kind, like `{family}{{{}: {{{name}: …}}}}`.", kind.name);
    }
    fault
}

fn has_setting(kind: &KindEntry, name: &str) -> bool {
    !catalog::schema(kind)["properties"][name].is_null()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load_text(text: &str) -> Result<Loaded, Vec<ConfigError>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchbell.yaml");
        fs::write(&path, text).unwrap();
        load_with(&path, &|_| None)
    }

    fn said(result: Result<Loaded, Vec<ConfigError>>, folder: &Path) -> String {
        let said: Vec<_> = result.unwrap_err().iter().map(ConfigError::to_string).collect();
        said.join("\n").replace(&format!("{}/", folder.display()), "")
    }

    /// The example of the product's description; its names are for ever.
    const EXAMPLE: &str = r#"
ping_key: "${PING_KEY:-k3v9qd7w2m5x8c1z4b6n0j}"     # first part of /ping/<ping_key>/<slug>
channels:
  ops:      { webhook: { url: "http://127.0.0.1:9099/hook" } }
  oncall:   { telegram: { token: "${TELEGRAM_TOKEN:-123:abc}", chat_id: "-100200300" } }
  mail:     { email: { host: mail.example.org, port: 587, from: watchbell@example.org, to: [ops@example.org] } }
defaults: { interval: 60s, timeout: 10s, failure_threshold: 3, success_threshold: 2, notify: [ops] }
monitors:
  shop:
    name: Shop front
    group: Web
    tags: [prod]
    probe: { http: { url: "https://shop.example.org/health", accept: [200-299], contains: "ok" } }
    interval: 30s
    retry_interval: 5s
    failure_threshold: 3
    success_threshold: 2
    remind_every: 15m
    notify: [oncall, mail]
  orthanc-port:
    probe: { tcp: { address: "127.0.0.1:4242" } }
  nightly-backup:
    heartbeat: { schedule: "0 3 * * *", timezone: Europe/Berlin, grace: 30m, ping_id: 5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278 }   # also /ping/<ping_id>
  edge-router:
    heartbeat: { interval: 60s, grace: 60s, push_token: "Zr8Yw1bC3dE5fG7hJ9kL2mN4pQ6sT0uV" }                                   # also /api/push/<push_token>
"#;

    #[test]
    fn the_example_of_the_product_loads_as_it_stands() {
        let file = load_text(EXAMPLE).unwrap_or_else(|errors| panic!("{errors:#?}")).file;
        assert_eq!(file.ping_key.as_ref().unwrap().expose(), "k3v9qd7w2m5x8c1z4b6n0j");
        assert_eq!(file.channels.keys().map(Slug::as_str).collect::<Vec<_>>(), ["mail", "oncall", "ops"]);
        assert_eq!(serde_json::to_value(&file.channels["oncall"]).unwrap()["telegram"]["token"], "123:abc");
        assert_eq!(file.defaults.notify.as_ref().unwrap()[0].as_str(), "ops");
        assert_eq!(file.monitors.len(), 4);
        let shop = &file.monitors["shop"];
        assert_eq!(shop.name.as_deref(), Some("Shop front"));
        assert_eq!(shop.kind(), "http");
        assert_eq!(shop.remind_every, Some(watchbell_core::Span::secs(900)));
        assert_eq!(shop.channels(&file.defaults).len(), 2);
        let backup = file.monitors["nightly-backup"].heartbeat.as_ref().unwrap();
        assert_eq!(backup.ping_id.unwrap().to_string(), "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278");
        assert_eq!(file.monitors["edge-router"].policy(&file.defaults, 1).interval.as_secs(), 60);
    }

    #[test]
    fn an_empty_file_is_an_empty_configuration() {
        assert_eq!(load_text("").unwrap().file, ConfigFile::default());
        assert_eq!(load_text("monitors:\nchannels:\ndefaults:\n").unwrap().file, ConfigFile::default());
    }

    #[test]
    fn what_is_written_out_is_read_back() {
        let file = load_text(EXAMPLE).unwrap().file;
        // JSON is YAML.
        let json = serde_json::to_string_pretty(&file).unwrap();
        assert_eq!(load_text(&json).unwrap().file, file);
    }

    /// Every `bad-*.yaml` in `tests/config` has a `bad-*.txt` that says what is told about it.
    #[test]
    fn bad_files_are_refused_in_these_words() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
        let variables = |name: &str| (name == "WORD").then(|| "hunter2".to_owned());
        let mut pairs = 0;
        let mut entries: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.starts_with("bad-") || name.ends_with(".txt") {
                continue;
            }
            let told = said(load_with(&path, &variables), &folder) + "\n";
            let expected = path.with_extension("txt");
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&expected, &told).unwrap();
            }
            let expected = fs::read_to_string(&expected).unwrap_or_default();
            assert_eq!(told, expected, "{name}: UPDATE=1 cargo test -p watchbell writes the words anew");
            assert!(!told.contains("hunter2"), "{name} tells a secret");
            pairs += 1;
        }
        assert!(pairs >= 20, "only {pairs} pairs in {}", folder.display());
    }

    #[test]
    fn a_folder_is_one_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "10-channels.yaml",
            "channels: {ops: {webhook: {url: 'http://127.0.0.1:9/h'}}}\ndefaults: {interval: 30s}\n",
        );
        write(
            "20-web.yml",
            "monitors: {shop: {probe: {tcp: {address: 'a.example:1'}}, notify: [ops]}}\ndefaults: {timeout: 5s}\n",
        );
        write("30-db.yaml", "monitors: {db: {probe: {tcp: {address: 'b.example:1'}}}}\n");
        write(".hidden.yaml", "nonsense: true\n");
        write("notes.txt", "nonsense");
        let loaded = load_with(folder.path(), &|_| None).unwrap_or_else(|errors| panic!("{errors:#?}"));
        assert_eq!(loaded.file.monitors.keys().map(Slug::as_str).collect::<Vec<_>>(), ["db", "shop"]);
        assert_eq!(loaded.file.defaults.timeout, Some(watchbell_core::Span::secs(5)));
        assert_eq!(loaded.file.defaults.interval, Some(watchbell_core::Span::secs(30)));
        assert_eq!(loaded.read.len(), 3);

        write(
            "40-again.yaml",
            "defaults: {interval: 9s}\nmonitors:\n  shop: {probe: {tcp: {address: 'c.example:1'}}}\n",
        );
        let told = said(load_with(folder.path(), &|_| None), folder.path());
        assert!(
            told.contains(
                "40-again.yaml:1:12: `interval` is in 10-channels.yaml:2:12 too; it can be in one file only."
            ),
            "{told}"
        );
        assert!(
            told.contains("40-again.yaml:3:3: `shop` is in 20-web.yml:1:12 too; it can be in one file only."),
            "{told}"
        );
    }

    #[test]
    fn files_that_cannot_be_read_are_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone.yaml");
        let told = said(load(&gone), folder.path());
        assert_eq!(
            told,
            "gone.yaml: The configuration cannot be read: No such file or directory (os error 2); give the right path with `--config`, or create it."
        );
        assert_eq!(
            said(load(folder.path()), Path::new("/nowhere")),
            format!("{}: The folder holds no `*.yaml` and no `*.yml` file.", folder.path().display())
        );
        let path = folder.path().join("w.yaml");
        fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
        assert_eq!(
            said(load(&path), folder.path()),
            "w.yaml: Line 2 holds bytes that are not UTF-8; save the file as UTF-8."
        );
        fs::write(&path, vec![b'#'; 4 * 1024 * 1024 + 1]).unwrap();
        assert_eq!(
            said(load(&path), folder.path()),
            "w.yaml: The file is larger than 4 MiB; split it into a folder of files."
        );
    }

    #[test]
    fn ten_thousand_monitors_load_in_a_moment() {
        let mut text = String::from("monitors:\n");
        for n in 0..10_000 {
            text.push_str(&format!("  m{n}:\n    name: Monitor {n}\n    tags: [prod, 'site:{}']\n    probe: {{ http: {{ url: \"https://h{n}.example.org/health\" }} }}\n    interval: 30s\n", n % 7));
        }
        assert_eq!(load_text(&text).unwrap_or_else(|errors| panic!("{:#?}", &errors[..1])).file.monitors.len(), 10_000);
    }
}
