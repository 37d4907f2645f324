//! The command line: one file per command. What can be given as a flag of `serve` can be given in the environment too.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use url::Url;
use watchbell_core::Secret;
use watchbell_store::OpenSettings;

use crate::config::Unusable;
use crate::telemetry::{self, LogFormat};

mod ask;
mod check;
mod config;
mod paint;
#[cfg(test)]
mod reference;
pub(crate) mod serve;
mod status;
mod store;

/// A watch that never sleeps, and a bell that always rings: watches services, listens for heartbeats, and tells the
/// right people.
#[derive(Parser)]
#[command(name = "watchbell", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

const AFTER_HELP: &str = "\
Without a command, Watchbell serves.

Also read from the environment: WATCHBELL_SECRET_KEY (the key that secrets in the database are sealed with, instead of \
secret.key in the data folder), SSL_CERT_FILE, SSL_CERT_DIR, TZ, NO_COLOR.

Exit codes: 0 done; 1 failed, or what was looked at is down; 2 wrong usage or configuration.";

#[derive(Subcommand)]
enum Command {
    /// Watch, listen, tell and show (the default)
    Serve(ServeArgs),
    /// Check something once, now, and show what was seen
    Check(check::CheckArgs),
    /// Look at configurations
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Ask a running server how things stand
    Status(status::StatusArgs),
    /// Write a copy of the database to a file
    Backup(store::BackupArgs),
    /// Bring the database to the form this version uses, and stop
    Migrate(StoreArgs),
}

/// What `serve` is told.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// The configuration: a YAML file, or a folder of them [default: watchbell.yaml here, if there is one]
    #[arg(long, env = "WATCHBELL_CONFIG", value_name = "PATH")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where pages, API and pings are served
    #[arg(long, env = "WATCHBELL_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8787", value_parser = address)]
    pub listen: SocketAddr,
    /// How people reach this installation, for links in messages, like https://watch.example.org/
    #[arg(long, env = "WATCHBELL_BASE_URL", value_name = "URL", value_parser = web_address)]
    pub base_url: Option<Url>,
    /// How log lines are written
    #[arg(long, env = "WATCHBELL_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace
    #[arg(long, env = "WATCHBELL_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// Where Telegram's bot interface is reached, if not at api.telegram.org
    #[arg(long, env = "WATCHBELL_TELEGRAM_API", value_name = "URL")]
    pub telegram_api: Option<String>,
}

/// Where the database is.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The folder of the database and of the key that seals its secrets
    #[arg(long, env = "WATCHBELL_DATA", value_name = "FOLDER", default_value = "watchbell-data")]
    pub data: PathBuf,
    /// A PostgreSQL database instead of the folder's own: postgres://user:password@host/name
    #[arg(long, env = "WATCHBELL_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
}

impl StoreArgs {
    pub(crate) fn settings(&self) -> OpenSettings {
        match &self.database {
            Some(url) => OpenSettings::postgres(Secret::new(url)),
            None => OpenSettings::folder(&self.data),
        }
    }

    /// The database in words, without its password.
    fn place(&self) -> String {
        match &self.database {
            Some(_) => "PostgreSQL".into(),
            None => self.data.display().to_string(),
        }
    }
}

/// How a command ended that did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    /// What was looked at is down, wrong or missing.
    Bad,
}

/// The caller asked for something that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

pub(crate) fn main() -> ExitCode {
    let cli = parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return told(&anyhow::Error::new(why).context("the program cannot start its threads")),
    };
    let ended = runtime.block_on(run(cli));
    // A file that is still being read must not keep us.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(error) => told(&error),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let command = without_empty_variables(Cli::command());
    let mut matches = command.clone().try_get_matches_from(arguments)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command.clone()))
}

/// A variable that is set to nothing, as compose files do for what is optional, counts as not set.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty =
        |argument: &clap::Arg| argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|argument| if is_empty(&argument) { argument.env(Resettable::Reset) } else { argument })
        .mut_subcommands(without_empty_variables)
}

async fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        None => serve(cli.serve).await,
        Some(Command::Serve(args)) => serve(args).await,
        Some(Command::Check(args)) => check::run(args).await,
        Some(Command::Config(command)) => config::run(command).await,
        Some(Command::Status(args)) => status::run(args).await,
        Some(Command::Backup(args)) => store::backup(args).await,
        Some(Command::Migrate(args)) => {
            // The store says which version it came to.
            telemetry::start_logging(LogFormat::Text, "info")?;
            store::migrate(args).await
        }
    }
}

async fn serve(mut args: ServeArgs) -> anyhow::Result<Outcome> {
    args.config = args.config.or_else(usual_config);
    serve::run(args).await.map(|()| Outcome::Fine)
}

/// `watchbell.yaml` in the current folder, if it is there.
fn usual_config() -> Option<PathBuf> {
    let path = Path::new("watchbell.yaml");
    path.exists().then(|| path.to_owned())
}

/// Tells an error and chooses the exit code. A reader that has gone away wanted no more: that is success.
fn told(error: &anyhow::Error) -> ExitCode {
    let gone = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|why| why.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(gone) {
        return ExitCode::SUCCESS;
    }
    // Nobody is left to hear it if this fails too.
    let _ = writeln!(io::stderr(), "{}", explain(error));
    ExitCode::from(if error.is::<Usage>() || error.is::<Unusable>() { 2 } else { 1 })
}

/// An error for the person at the terminal: what went wrong, and below it every cause that adds something.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    if let Some(Unusable(errors)) = error.downcast_ref() {
        if let [only] = errors.as_slice()
            && only.line == 0
        {
            return format!("watchbell: {only}");
        }
        let mistakes = if errors.len() == 1 { "one mistake".into() } else { format!("{} mistakes", errors.len()) };
        return format!("{error}\nwatchbell: the configuration has {mistakes}; nothing was done.");
    }
    let mut said = format!("watchbell: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            said.push_str("\n  because: ");
            said.push_str(&cause);
        }
    }
    said
}

/// Writes to standard output, all at once.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Says on a terminal what takes long; a log or a pipe wants the end only.
fn progress(text: &str) {
    if io::stderr().is_terminal() {
        // Lost progress is no loss.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    local.as_deref().unwrap_or(text).parse().map_err(|_| {
        format!("`{text}` is no address with a port; write it like 127.0.0.1:8787, 0.0.0.0:80 or [::1]:8787")
    })
}

fn web_address(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(format!("`{text}` is no web address; write it like https://watch.example.org/")),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn serving_is_what_happens_without_a_command() {
        let Ok(Cli { command: None, serve }) = parsed("watchbell --listen localhost:9000 --data /tmp/d") else {
            panic!()
        };
        assert_eq!((serve.listen, serve.store.data), ("127.0.0.1:9000".parse().unwrap(), "/tmp/d".into()));
        let Ok(Cli { command: Some(Command::Serve(serve)), .. }) = parsed("watchbell serve --log-format json") else {
            panic!()
        };
        assert_eq!((serve.log_format, serve.log_level.as_str()), (LogFormat::Json, "info"));
        assert_eq!(serve.listen, "127.0.0.1:8787".parse().unwrap());
    }

    #[test]
    fn wrong_usage_says_what_would_be_right() {
        for (line, hint) in [
            ("watchbell --listen here", "`here` is no address with a port; write it like 127.0.0.1:8787"),
            ("watchbell --base-url watch.example.org", "is no web address; write it like https://"),
            ("watchbell --log-format xml", "[possible values: text, json]"),
            ("watchbell sevre", "a similar subcommand exists: 'serve'"),
            ("watchbell serve --confg x", "a similar argument exists: '--config'"),
        ] {
            let error = parsed(line).err().unwrap_or_else(|| panic!("{line}"));
            assert!(error.to_string().contains(hint), "{line}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn errors_are_told_with_every_cause_once() {
        let port = io::Error::from(io::ErrorKind::AddrInUse);
        let error = Err::<(), _>(port).context("cannot listen on 127.0.0.1:8787; choose another one").unwrap_err();
        assert_eq!(
            explain(&error),
            "watchbell: cannot listen on 127.0.0.1:8787; choose another one\n  because: address in use"
        );
        let twice = Err::<(), _>(anyhow::anyhow!("no room")).context("the copy failed: no room").unwrap_err();
        assert_eq!(explain(&twice), "watchbell: the copy failed: no room");
    }

    #[test]
    fn exit_codes_tell_failure_from_wrong_usage() {
        let code = |error: anyhow::Error| format!("{:?}", told(&error));
        assert_eq!(code(Usage("no".into()).into()), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(anyhow::anyhow!("no")), format!("{:?}", ExitCode::from(1)));
        let gone = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert_eq!(code(gone), format!("{:?}", ExitCode::SUCCESS));
    }
}
