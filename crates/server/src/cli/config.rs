//! `watchbell config`: judges a configuration, describes what can be written, and writes out what was made in the
//! console.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use watchbell_core::{Slug, Timestamp, catalog};
use watchbell_notify::Channel;
use watchbell_store::{Loaded, Origin, Store};

use super::{Outcome, StoreArgs, Usage, say, usual_config};
use crate::config::load_or_empty;
use crate::config::spec::{ConfigFile, MonitorSpec};
use crate::seal::Seal;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether a configuration is understood, and what is wrong with it
    Check(ConfigCheckArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print the monitors and channels made in the console as a configuration
    Export(ExportArgs),
}

#[derive(Args)]
pub(super) struct ConfigCheckArgs {
    /// The configuration [default: watchbell.yaml here]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// The same, as for `serve`
    #[arg(long, env = "WATCHBELL_CONFIG", value_name = "PATH", conflicts_with = "path")]
    config: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Write secrets as they are, instead of `${VARIABLES}` to be filled in
    #[arg(long)]
    with_secrets: bool,
}

pub(super) async fn run(command: ConfigCommand) -> anyhow::Result<Outcome> {
    match command {
        ConfigCommand::Check(args) => check(args.path.or(args.config).or_else(usual_config).as_deref()),
        ConfigCommand::Schema => {
            say(&schema())?;
            Ok(Outcome::Fine)
        }
        ConfigCommand::Export(args) => export(args).await,
    }
}

fn check(path: Option<&Path>) -> anyhow::Result<Outcome> {
    let Some(path) = path else {
        return Err(Usage("There is no watchbell.yaml here; name the configuration to check.".into()).into());
    };
    let file = load_or_empty(Some(path))?.file;
    let monitors = counted(file.monitors.len(), "monitor");
    let channels = counted(file.channels.len(), "channel");
    say(&format!("{monitors}, {channels}: every line is understood.\n"))?;
    Ok(Outcome::Fine)
}

fn counted(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// The schema of a configuration file, as text.
pub(super) fn schema() -> String {
    let schema = schemars::schema_for!(ConfigFile);
    serde_json::to_string_pretty(&schema).expect("a schema serialises") + "\n"
}

async fn export(args: ExportArgs) -> anyhow::Result<Outcome> {
    let store = Store::open(args.store.settings()).await?;
    let loaded = store.load(Timestamp::NEVER).await;
    let closed = store.close().await;
    let (loaded, ()) = (loaded?, closed?);
    let seal = Seal::open(&args.store.data)?;
    let exported = exported(&loaded, &seal, args.with_secrets);
    for complaint in &exported.left_out {
        eprintln!("watchbell: {complaint}");
    }
    say(&exported.yaml)?;
    Ok(if exported.left_out.is_empty() { Outcome::Fine } else { Outcome::Bad })
}

struct Exported {
    yaml: String,
    /// Sentences about what is not in it.
    left_out: Vec<String>,
}

fn exported(loaded: &Loaded, seal: &Seal, with_secrets: bool) -> Exported {
    let mut left_out = loaded.unreadable.clone();
    let mut channels = Map::new();
    let schema = catalog::schema_of::<Channel>();
    for row in loaded.channels.iter().filter(|row| row.origin == Origin::Console) {
        match seal.open_channel(&row.slug, &row.spec).map(|channel| written(&row.slug, &channel, &schema, with_secrets))
        {
            Ok(value) => drop(channels.insert(row.slug.to_string(), value)),
            Err(why) => left_out.push(format!("the channel `{}` is left out: {why}", row.slug)),
        }
    }
    let mut monitors = Map::new();
    let schema = catalog::schema_of::<MonitorSpec>();
    for row in loaded.monitors.iter().filter(|row| row.origin == Origin::Console) {
        match seal.open_monitor(&row.slug, &row.spec).map(|monitor| written(&row.slug, &monitor, &schema, with_secrets))
        {
            Ok(value) => drop(monitors.insert(row.slug.to_string(), value)),
            Err(why) => left_out.push(format!("the monitor `{}` is left out: {why}", row.slug)),
        }
    }
    Exported { yaml: catalog::to_yaml(&json!({ "channels": channels, "monitors": monitors })), left_out }
}

/// One definition as it stands in a file.
fn written(slug: &Slug, spec: &impl serde::Serialize, schema: &Value, with_secrets: bool) -> Value {
    let mut value = serde_json::to_value(spec).expect("settings serialise");
    escape(&mut value);
    if !with_secrets {
        catalog::map_secrets(schema, &mut value, &mut |path, _| Some(format!("${{{}}}", variable(slug, path))));
    }
    value
}

/// `${` in a text would be read as a variable.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(fields) => fields.values_mut().for_each(escape),
        _ => {}
    }
}

/// The variable for a secret: `OPS_TELEGRAM_TOKEN` for `telegram.token` of `ops`.
fn variable(slug: &Slug, path: &str) -> String {
    let name: String = format!("{slug}.{path}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let name = name.trim_end_matches('_');
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use watchbell_store::{ChannelRow, MonitorRow};

    use super::*;

    #[test]
    fn the_schema_names_everything_that_can_be_written() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        assert_eq!(schema["title"], "Watchbell configuration");
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["properties"]["monitors"].is_object());
        assert_eq!(schema["properties"]["ping_key"]["writeOnly"], true);
    }

    #[test]
    fn a_good_configuration_is_counted_and_a_bad_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.yaml");
        std::fs::write(&path, "monitors: {}\n").unwrap();
        assert_eq!(check(Some(&path)).unwrap(), Outcome::Fine);
        std::fs::write(&path, "monitor: {}\n").unwrap();
        let error = check(Some(&path)).unwrap_err();
        assert!(
            super::super::explain(&error).ends_with("watchbell: the configuration has one mistake; nothing was done.")
        );
        assert!(check(None).unwrap_err().is::<Usage>());
        assert_eq!((counted(1, "monitor"), counted(0, "channel")), ("1 monitor".into(), "0 channels".into()));
    }

    fn loaded(seal: &Seal) -> (Loaded, Channel, MonitorSpec) {
        let slug: Slug = "ops".parse().unwrap();
        let channel: Channel =
            serde_json::from_value(json!({ "telegram": { "token": "123:hunter2", "chat_id": "-1" } })).unwrap();
        let monitor: MonitorSpec = serde_json::from_value(json!({
            "name": "costs ${5}", "note": "two\nlines\n", "probe": { "tcp": { "address": "shop.example.org:443" } }, "interval": "30s"
        }))
        .unwrap();
        let row = |slug: &str, origin, spec: String| MonitorRow {
            id: 1,
            slug: slug.parse().unwrap(),
            origin,
            spec,
            rev: 1,
            paused: false,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        };
        let shop: Slug = "shop".parse().unwrap();
        let loaded = Loaded {
            monitors: vec![
                row("shop", Origin::Console, seal.close_monitor(&shop, &monitor).unwrap()),
                row("from-file", Origin::File, "{}".into()),
                row("broken", Origin::Console, "{".into()),
            ],
            channels: vec![ChannelRow {
                slug: slug.clone(),
                origin: Origin::Console,
                spec: seal.close_channel(&slug, &channel).unwrap(),
                rev: 1,
                disabled: None,
                created_at: Timestamp::EPOCH,
                updated_at: Timestamp::EPOCH,
            }],
            states: Vec::new(),
            settings: Vec::new(),
            transitions: Vec::new(),
            open_incidents: Vec::new(),
            alive_at: None,
            next_monitor: 2,
            unreadable: Vec::new(),
            last_pings: Vec::new(),
        };
        (loaded, channel, monitor)
    }

    #[test]
    fn an_export_reads_back_as_what_was_made() {
        let data = tempfile::tempdir().unwrap();
        let seal = Seal::open(data.path()).unwrap();
        let (loaded, channel, monitor) = loaded(&seal);
        let all = exported(&loaded, &seal, true);
        let path = data.path().join("w.yaml");
        std::fs::write(&path, &all.yaml).unwrap();
        let file = load_or_empty(Some(&path)).unwrap_or_else(|why| panic!("{why}\n{}", all.yaml)).file;
        assert_eq!(file.channels["ops"], channel);
        assert_eq!(file.monitors["shop"], monitor);
        assert_eq!(file.monitors.len(), 1);
        assert_eq!(all.left_out.len(), 1);
        assert!(all.left_out[0].starts_with("the monitor `broken` is left out: "), "{:?}", all.left_out);
    }

    #[test]
    fn secrets_become_variables_unless_they_are_wanted() {
        let data = tempfile::tempdir().unwrap();
        let seal = Seal::open(data.path()).unwrap();
        let yaml = exported(&loaded(&seal).0, &seal, false).yaml;
        assert!(!yaml.contains("hunter2") && yaml.contains("token: \"${OPS_TELEGRAM_TOKEN}\""), "{yaml}");
        assert_eq!(variable(&"2nd-ops".parse().unwrap(), "headers[0].value"), "_2ND_OPS_HEADERS_0__VALUE");
    }
}
