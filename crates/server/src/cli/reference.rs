//! Keeps `docs/reference` true: generated from the definitions, compared by a test, rewritten with `UPDATE=1`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use watchbell_core::catalog::{self, Control, Field};
use watchbell_notify::Channel;
use watchbell_probe::Probe;

use super::{Cli, config};
use crate::config::spec::{ConfigFile, Defaults, HeartbeatSpec, MonitorSpec, Retention};

const REMARK: &str = "<!-- Written by `cargo xtask docs` from the definitions in the code; change those. -->\n\n";

#[test]
fn the_reference_is_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let pages = [
        ("probes.md", REMARK.to_owned() + &catalog::manual("Probes", Probe::ALL)),
        ("channels.md", REMARK.to_owned() + &catalog::manual("Channels", Channel::ALL)),
        ("monitor.md", REMARK.to_owned() + &monitor()),
        ("configuration.md", REMARK.to_owned() + &configuration()),
        ("cli.md", REMARK.to_owned() + &command_line()),
        ("config.schema.json", config::schema()),
    ];
    let mut stale: Vec<PathBuf> = Vec::new();
    for (name, text) in pages {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&folder).expect("docs/reference can be made");
            std::fs::write(&path, text).expect("the page can be written");
        } else {
            stale.push(path);
        }
    }
    assert!(
        stale.is_empty(),
        "{stale:?} differ from the code; `cargo xtask docs` or `UPDATE=1 cargo test -p watchbell` writes them anew"
    );
}

#[test]
fn every_kind_describes_itself() {
    for entries in [Probe::ALL, Channel::ALL] {
        assert_eq!(catalog::complaints_about(entries), Vec::<String>::new());
    }
}

fn monitor() -> String {
    let mut out = String::from(
        "# Monitors\n\nA monitor is asked (`probe`) or calls in (`heartbeat`). In the configuration it stands under its slug in \
         `monitors`; the API takes and gives the same settings.\n",
    );
    settings::<MonitorSpec>(&mut out, "Every monitor", &["probe", "heartbeat"]);
    out.push_str("\n`probe` is one of the [probes](probes.md); `heartbeat` is described here.\n");
    settings::<HeartbeatSpec>(&mut out, "Heartbeats", &[]);
    out.push_str(HEARTBEAT_ADDRESSES);
    out
}

const HEARTBEAT_ADDRESSES: &str = "\n\
    A job calls `/ping/<ping_key>/<slug>`, `/ping/<ping_id>` or `/api/push/<push_token>`.\n\
    \n\
    ```yaml\n\
    monitors:\n\
    \x20 nightly-backup:\n\
    \x20   heartbeat: { schedule: \"0 3 * * *\", timezone: Europe/Berlin, grace: 30m }\n\
    ```\n";

fn configuration() -> String {
    let mut out = String::from(INTRODUCTION);
    settings::<ConfigFile>(&mut out, "The file", &["channels", "monitors", "defaults", "retention"]);
    out.push_str("\n`channels` holds [channels](channels.md) by slug, `monitors` [monitors](monitor.md) by slug.\n");
    settings::<Defaults>(&mut out, "`defaults`", &[]);
    settings::<Retention>(&mut out, "`retention`", &[]);
    out
}

const INTRODUCTION: &str = "\
# Configuration

Watchbell reads one YAML file, or all `*.yaml` and `*.yml` of a folder as if they were one. Every mistake is told with \
file, line and column, what was expected and the nearest known name; `watchbell config check` does so without starting \
anything. A changed file is applied without a restart; while it holds a mistake, the last good configuration stays in \
force and the mistake is listed among the problems.

```yaml
channels:
  ops: { webhook: { url: \"https://chat.example.org/hook\" } }
defaults: { notify: [ops] }
monitors:
  shop:
    probe: { http: { url: \"https://shop.example.org/health\" } }
```

**Variables.** In values, bare or quoted, `${NAME}` is the environment variable of that name; if it is not set, the \
configuration is refused. `${NAME:-default}` has a default, `${NAME:?hint}` tells the hint when it is missing or empty. \
A lone `$` means itself; a literal `${` is written `$${`. What a variable holds is never told in a message.

**Secrets in files.** A secret written as `file:/run/secrets/token` is read from that file, without surrounding white \
space. A relative path begins in the folder of the configuration. When the file changes, the new secret is applied.

**Lengths of time** are written `30s`, `5m`, `1h30m`, `500ms` or `2d`; a bare number means seconds.

**Anchors** (`&name`, `*name`, `<<: *name`) work as in YAML. A file has at most 4 MiB and is 64 levels deep at most.

For completion in an editor, point it at the [JSON Schema](config.schema.json), which `watchbell config schema` prints.
";

/// The settings of a type as a table, without those that are described elsewhere.
fn settings<T: schemars::JsonSchema>(out: &mut String, title: &str, elsewhere: &[&str]) {
    let schema = catalog::schema_of::<T>();
    let _ = write!(out, "\n## {title}\n\n");
    if let Some(about) = schema["description"].as_str() {
        let _ = write!(out, "{}\n\n", about.replace('\n', " "));
    }
    out.push_str("| setting | meaning |\n| --- | --- |\n");
    for field in catalog::fields(&schema).iter().filter(|field| !elsewhere.contains(&field.name.as_str())) {
        row(out, field);
    }
}

fn row(out: &mut String, field: &Field) {
    let meaning = format!("{} {}", field.help, field.more);
    let values = match &field.control {
        Control::Choice(choices) => {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            format!(" One of {}.", names.join(", "))
        }
        Control::Integer { min: Some(min), max: Some(max) } => format!(" From {min} to {max}."),
        _ => String::new(),
    };
    let _ = writeln!(out, "| `{}` | {}{values} |", field.dotted(), meaning.trim().replace('|', "\\|"));
    if let Control::Object(fields) = &field.control {
        fields.iter().for_each(|inner| row(out, inner));
    }
}

fn command_line() -> String {
    let mut out = String::from("# Command line\n");
    let mut command = Cli::command();
    command.build();
    about(&mut out, &command, "watchbell");
    out
}

fn about(out: &mut String, command: &Command, name: &str) {
    let _ = write!(out, "\n## `{name}`\n\n");
    let text = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(out, "{}\n\n", text.replace('\n', " "));
    let usage = command.clone().render_usage().to_string();
    let _ = write!(out, "```text\n{}\n```\n", usage.trim_start_matches("Usage: ").trim());
    let shown = |argument: &&Arg| !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str());
    let arguments: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    // The program itself takes what `serve` takes.
    if !arguments.is_empty() && name != "watchbell" {
        out.push_str("\n| argument | environment | meaning |\n| --- | --- | --- |\n");
        for argument in arguments {
            argument_row(out, argument);
        }
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        about(out, inner, &format!("{name} {}", inner.get_name()));
    }
    if let Some(after) = command.get_after_help() {
        let _ = write!(out, "\n## Environment and exit codes\n\n{after}\n");
    }
}

fn argument_row(out: &mut String, argument: &Arg) {
    let takes_value = argument.get_action().takes_values();
    let value = argument
        .get_value_names()
        .filter(|_| takes_value)
        .map(|names| names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" "))
        .unwrap_or_default();
    let name = match argument.get_long() {
        Some(long) => format!("--{long} {value}"),
        None => value,
    };
    let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
    let meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> =
        argument.get_default_values().iter().filter(|_| takes_value).map(|value| value.to_string_lossy()).collect();
    let default = if default.is_empty() { String::new() } else { format!(" Default: `{}`.", default.join(" ")) };
    let _ = writeln!(
        out,
        "| `{}` | {variable} | {}.{default} |",
        name.trim(),
        meaning.trim_end_matches('.').replace('|', "\\|")
    );
}
