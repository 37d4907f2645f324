//! `watchbell status`: asks a running server for its counts, what is down, and its problems.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use url::Url;
use watchbell_core::finding::clean;

use super::paint::Paint;
use super::{Outcome, ask, say, web_address};

#[derive(Args)]
pub(super) struct StatusArgs {
    /// Where the server is
    #[arg(long, env = "WATCHBELL_URL", value_name = "URL", default_value = "http://127.0.0.1:8787/", value_parser = web_address)]
    url: Url,
    /// A token that may read; made in the console under Settings. On the server's own machine only problems need it
    #[arg(long, env = "WATCHBELL_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<Outcome> {
    let token = args.token.as_deref();
    let metrics = ask::get(&args.url, "/metrics", token).await?;
    match metrics.status {
        200 => {}
        401 | 403 => return only_alive(&args, token.is_some()).await,
        status => bail!("{} answered {status}: {}", args.url, clean(metrics.body.trim(), 200)),
    }
    let view = View::read(&metrics.body).with_context(|| format!("{} did not answer as a watchbell does", args.url))?;
    let problems = match token {
        Some(_) if view.problems > 0 => Some(problems(&args).await?),
        _ => None,
    };
    say(&view.shown(problems.as_deref(), Paint::of_stdout()))?;
    Ok(if view.down.is_empty() { Outcome::Fine } else { Outcome::Bad })
}

/// What can be said without being let in.
async fn only_alive(args: &StatusArgs, with_token: bool) -> anyhow::Result<Outcome> {
    let health = ask::get(&args.url, "/healthz", None).await?;
    if with_token {
        bail!("the server at {} does not accept this token; make another one in the console under Settings", args.url);
    }
    if health.status != 200 {
        bail!("the server at {} runs, but says: {}", args.url, clean(health.body.trim(), 200));
    }
    say(&format!("The server at {} runs. To see more from here, give a token with --token.\n", args.url))?;
    Ok(Outcome::Fine)
}

/// The part of [`crate::app::Problem`] that is shown.
#[derive(Deserialize)]
struct Problem {
    place: String,
    sentence: String,
    consequence: String,
}

async fn problems(args: &StatusArgs) -> anyhow::Result<Vec<Problem>> {
    let answer = ask::get(&args.url, "/api/v1/problems", args.token.as_deref()).await?;
    if answer.status != 200 {
        bail!("the problems could not be read: {} answered {}", args.url, answer.status);
    }
    serde_json::from_str(&answer.body).context("the problems could not be read")
}

/// What the metrics say.
#[derive(Debug, Default, PartialEq)]
struct View {
    up: usize,
    degraded: usize,
    paused: usize,
    /// Not known yet, or not any more.
    unknown: usize,
    /// Names with their slugs.
    down: Vec<(String, String)>,
    problems: usize,
    waiting: usize,
}

impl View {
    fn read(metrics: &str) -> Option<Self> {
        let mut view = Self::default();
        let mut monitors: BTreeMap<String, Seen> = BTreeMap::new();
        let mut ours = false;
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let monitor = || label(labels, "monitor");
            match name {
                "watchbell_problems" => {
                    ours = true;
                    view.problems = count(value);
                }
                "watchbell_deliveries_waiting" => view.waiting = count(value),
                "watchbell_monitor_up" => monitors.entry(monitor()?).or_default().up = Some(value == "1"),
                "watchbell_monitor_degraded" => monitors.entry(monitor()?).or_default().degraded = value == "1",
                "watchbell_monitor_paused" => {
                    let seen = monitors.entry(monitor()?).or_default();
                    seen.paused = value == "1";
                    seen.name = label(labels, "name").unwrap_or_default();
                }
                _ => {}
            }
        }
        for (slug, seen) in monitors {
            match seen {
                Seen { paused: true, .. } => view.paused += 1,
                Seen { up: Some(false), name, .. } => view.down.push((name, slug)),
                Seen { degraded: true, .. } => view.degraded += 1,
                Seen { up: Some(true), .. } => view.up += 1,
                Seen { up: None, .. } => view.unknown += 1,
            }
        }
        ours.then_some(view)
    }

    fn shown(&self, problems: Option<&[Problem]>, paint: Paint) -> String {
        let total = self.up + self.degraded + self.paused + self.unknown + self.down.len();
        let mut parts = Vec::new();
        let mut part = |number: usize, word: &str, painted: &dyn Fn(&str) -> String| {
            if number > 0 {
                parts.push(painted(&format!("{number} {word}")));
            }
        };
        part(self.down.len(), "down", &|text| paint.bad(text));
        part(self.degraded, "degraded", &|text| paint.unsure(text));
        part(self.unknown, "unknown", &|text| paint.unsure(text));
        part(self.paused, "paused", &|text| paint.faint(text));
        part(self.up, "up", &|text| paint.good(text));
        let mut out = match total {
            0 => "No monitors yet.\n".into(),
            1 => format!("1 monitor: {}\n", parts.join(", ")),
            _ => format!("{total} monitors: {}\n", parts.join(", ")),
        };
        for (name, slug) in &self.down {
            let name = clean(name, 150);
            let slug = if name == *slug { String::new() } else { format!("  {}", paint.faint(slug)) };
            out.push_str(&format!("  {}  {name}{slug}\n", paint.bad("DOWN")));
        }
        if self.waiting > 0 {
            out.push_str(&format!("{} waiting to be delivered.\n", plural(self.waiting, "message")));
        }
        match (self.problems, problems) {
            (0, _) => {}
            (number, None) => {
                let number = paint.unsure(&plural(number, "problem"));
                out.push_str(&format!("{number}; see the console, or give a token with --token.\n"));
            }
            (number, Some(problems)) => {
                out.push_str(&format!("{}:\n", paint.unsure(&plural(number, "problem"))));
                for problem in problems {
                    out.push_str(&format!(
                        "  {}: {} {}\n",
                        problem.place,
                        problem.sentence,
                        paint.faint(&problem.consequence)
                    ));
                }
            }
        }
        out
    }
}

/// What is said of one monitor, line by line.
#[derive(Default)]
struct Seen {
    name: String,
    up: Option<bool>,
    degraded: bool,
    paused: bool,
}

fn plural(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn count(value: &str) -> usize {
    value.parse::<f64>().map_or(0, |number| number.clamp(0.0, 1e9) as usize)
}

/// The value of a label in `a="x",b="y"`, escapes taken out.
fn label(labels: &str, name: &str) -> Option<String> {
    let mut rest = labels;
    loop {
        let (found, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => match letters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, letter) => value.push(letter),
            }
        };
        if found.trim_start_matches(',') == name {
            return Some(value);
        }
        rest = &after[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const METRICS: &str = r#"# HELP watchbell_monitor_up 1 if
# TYPE watchbell_monitor_up gauge
watchbell_monitor_up{monitor="shop",name="Shop \"front\"",group="",kind="http"} 0
watchbell_monitor_up{monitor="db",name="db",group="",kind="tcp"} 0
watchbell_monitor_up{monitor="ok",name="ok",group="",kind="tcp"} 1
watchbell_monitor_up{monitor="slow",name="slow",group="",kind="tcp"} 1
watchbell_monitor_degraded{monitor="slow",name="slow",group="",kind="tcp"} 1
watchbell_monitor_paused{monitor="shop",name="Shop \"front\"",group="",kind="http"} 0
watchbell_monitor_paused{monitor="db",name="db",group="",kind="tcp"} 0
watchbell_monitor_paused{monitor="ok",name="ok",group="",kind="tcp"} 0
watchbell_monitor_paused{monitor="off",name="off",group="",kind="tcp"} 1
watchbell_monitor_paused{monitor="new",name="new",group="",kind="tcp"} 0
watchbell_deliveries_waiting 2
watchbell_problems 1
"#;

    #[test]
    fn the_metrics_become_a_short_story() {
        let view = View::read(METRICS).unwrap();
        assert_eq!(
            view.shown(None, Paint::plain()),
            "6 monitors: 2 down, 1 degraded, 1 unknown, 1 paused, 1 up\n  DOWN  db\n  DOWN  Shop \"front\"  shop\n\
             2 messages waiting to be delivered.\n1 problem; see the console, or give a token with --token.\n"
        );
        let problems = [Problem { place: "w.yaml:1:2".into(), sentence: "No.".into(), consequence: "Nothing.".into() }];
        assert!(view.shown(Some(&problems), Paint::plain()).ends_with("1 problem:\n  w.yaml:1:2: No. Nothing.\n"));
        assert_eq!(View::read("watchbell_problems 0\n").unwrap().shown(None, Paint::plain()), "No monitors yet.\n");
        assert_eq!(View::read("<html>hello</html>"), None);
    }

    /// A server that gives the same answer to everybody; its address.
    async fn server(answer: &'static str) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn the_exit_code_tells_whether_something_is_down() {
        let ask = |url: Url| run(StatusArgs { url, token: None });
        let fine = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\nconnection: close\r\n\r\nwatchbell_problems 0\n";
        assert_eq!(ask(server(fine).await).await.unwrap(), Outcome::Fine);
        let down = "HTTP/1.1 200 OK\r\ncontent-length: 57\r\nconnection: close\r\n\r\nwatchbell_monitor_up{monitor=\"a\"} 0\nwatchbell_problems 0\n";
        assert_eq!(ask(server(down).await).await.unwrap(), Outcome::Bad);
        let other = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        assert!(
            ask(server(other).await).await.unwrap_err().to_string().ends_with("did not answer as a watchbell does")
        );
        let closed = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap()
        };
        let said = ask(closed).await.unwrap_err().to_string();
        assert!(
            said.starts_with("no watchbell answers at http://127.0.0.1:") && said.contains("is it running?"),
            "{said}"
        );
    }
}
