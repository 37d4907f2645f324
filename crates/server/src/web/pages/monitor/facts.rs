//! The facts of one monitor: phases of the last check, certificate and note, settings in words, how a job calls in.

use maud::{Markup, html};
use watchbell_core::Slug;

use super::Parts;
use crate::config::spec::HeartbeatSpec;
use crate::live::Origin;
use crate::web::draw::waterfall::{ends_in_a_phase, waterfall};
use crate::web::{Web, links, parts, words};

/// Rows of evidence that say more of a certificate.
const ABOUT_TLS: [&str; 4] = ["Certificate", "Issuer", "Names", "Protocol"];

impl Parts<'_> {
    pub(super) fn phases(&self) -> Markup {
        let last = self.watched.last.as_deref();
        let usual = self.watched.last_ok.as_deref().filter(|ok| last.is_some_and(|last| last.at != ok.at));
        html! {
            section.panel #m-phases aria-labelledby="h-fall" {
                @match last {
                    Some(last) if !self.is_heartbeat() => {
                        div.panel-h {
                            h2 #h-fall { "Phases of the last check" }
                            @if usual.is_some() { span.sub { "outline: the last good one" } }
                        }
                        div.panel-b {
                            (waterfall(&last.phases, last.took, usual.map(|seen| &seen.phases), last.reason().is_some_and(|reason| ends_in_a_phase(&reason.code)), false))
                        }
                    },
                    Some(last) => {
                        div.panel-h { h2 #h-fall { "Last call" } }
                        div.panel-b { dl.facts {
                            div {
                                dt { "Came" }
                                dd {
                                    (self.reader.calendar.time(last.at)) ", " (self.reader.calendar.age(last.at)) " ago"
                                }
                            }
                            @if !last.took.is_zero() { div { dt { "Ran" } dd { (words::fine_length(last.took)) } } }
                            @if let Some(reason) = last.reason() { div { dt { "Said" } dd { (reason.text) } } }
                        } }
                    },
                    None => {
                        div.panel-h {
                            h2 #h-fall { @if self.is_heartbeat() { "Last call" } @else { "Phases of the last check" } }
                        }
                        div.panel-b {
                            p.i3 {
                                @if self.is_heartbeat() { "It has not called yet." } @else { "It was not asked yet." }
                            }
                        }
                    },
                }
            }
        }
    }

    pub(super) fn certificate(&self) -> Markup {
        let seen =
            [&self.watched.last, &self.watched.last_ok].into_iter().flatten().find(|seen| seen.expires_at.is_some());
        html! {
            section.panel #m-certificate aria-labelledby="h-note" {
                @if let Some(ends) = seen.and_then(|seen| seen.expires_at) {
                    div.panel-h { h2 #h-note { "Certificate" } }
                    div.panel-b { dl.facts {
                        div { dt { "Ends" } dd {
                            @if ends > self.now() {
                                b.b { "in " (words::length(ends.since(self.now()))) }
                            } @else {
                                b.b.down-t { "it has ended" }
                            }
                            " " span.i3 { "on " (self.reader.calendar.day_time(ends)) }
                        } }
                        div { dt { "Warns" } dd { (days_before(&self.watched.fixed.policy.expiry_days)) } }
                        @for row in seen.iter().flat_map(|seen| &seen.evidence.rows).filter(|row| ABOUT_TLS.contains(&&*row.name)) {
                            div { dt { (row.name) } dd.mono { (row.value) } }
                        }
                    } }
                } @else { div.panel-h { h2 #h-note { "Note" } } }
                @if let Some(note) = &self.watched.fixed.spec.note {
                    @if seen.is_some() { div.panel-h { h3 { "Note" } } }
                    div.panel-b { p.said-plain { (note) } }
                } @else if seen.is_none() {
                    div.panel-b { p.i3 { "Write down what the person who is woken should know; it is shown here." } }
                }
            }
        }
    }

    pub(super) fn settings(&self) -> Markup {
        let (fixed, policy) = (&self.watched.fixed, &self.watched.fixed.policy);
        let notify: Vec<&str> = fixed.notify.iter().map(Slug::as_str).collect();
        html! {
            section.panel #m-settings aria-labelledby="h-cfg" {
                div.panel-h {
                    h2 #h-cfg { "Configuration" }
                    span.sub {
                        @match fixed.origin { Origin::File => "from the configuration file", Origin::Console => "made in the console" }
                    }
                    @if self.reader.is_editor() {
                        span.end {
                            a.btn.ghost.sm href=(links::monitor_action(&fixed.slug, "edit")) {
                                @if fixed.origin == Origin::File { "Show" } @else { "Edit" }
                            }
                        }
                    }
                }
                div.panel-b { dl.facts {
                    @if let Some(expectation) = &policy.heartbeat {
                        div {
                            dt { "Expects" }
                            dd {
                                "a call " (fixed.spec.target()) ", at most " (words::setting(expectation.grace)) " late"
                            }
                        }
                        @if let Some(run) = expectation.max_run {
                            div { dt { "May run" } dd { (words::setting(run)) } }
                        }
                        @if let Some(run) = expectation.min_run {
                            div { dt { "Must run" } dd { "at least " (words::setting(run)) } }
                        }
                        @if expectation.failure_threshold > 1 {
                            div { dt { "Counts as down" } dd { (expectation.failure_threshold) " failed runs in a row" } }
                        }
                        @if !expectation.hearing.good_exits.is_empty() {
                            @let good: Vec<String> = expectation.hearing.good_exits.iter().map(u8::to_string).collect();
                            div { dt { "Good exit status" } dd.mono { (good.join(", ")) } }
                        }
                        @for (word, list) in [("Failure words", &expectation.hearing.failure_words), ("Success words", &expectation.hearing.success_words), ("Start words", &expectation.hearing.start_words)] {
                            @if !list.is_empty() { div { dt { (word) } dd.mono { (list.join(", ")) } } }
                        }
                    } @else {
                        div {
                            dt { "Check" }
                            dd {
                                (fixed.spec.kind().to_uppercase()) " every " (words::setting(policy.interval))
                                ", timeout " (words::setting(policy.timeout))
                            }
                        }
                        div { dt { "Counts as down" } dd {
                            @if policy.failure_threshold == 1 {
                                "at the first failure"
                            } @else {
                                (policy.failure_threshold) " failures in a row, "
                                (words::setting(policy.retry_interval)) " apart"
                            }
                        } }
                        div {
                            dt { "Counts as up" }
                            dd {
                                (words::counted(policy.success_threshold as usize, "good answer", "good answers in a row"))
                            }
                        }
                        @if let Some(limit) = fixed.slow_above {
                            div {
                                dt { "Counts as slow" }
                                dd { "over " (words::latency(limit)) ", " (policy.slow_threshold) " times in a row" }
                            }
                        }
                    }
                    div { dt { "Tells" } dd {
                        @if notify.is_empty() { "nobody" }
                        @for (place, slug) in notify.iter().enumerate() {
                            @if place > 0 { ", " } a.link href=(links::channel(slug)) { (slug) }
                        }
                        @if let Some(every) = policy.remind_every { ", again every " (words::setting(every)) }
                    } }
                    div { dt { "Short name" } dd.mono { (fixed.slug) } }
                } }
            }
        }
    }

    /// How a job calls in, with its real addresses; only for who may change it, since they are secrets.
    pub(super) fn snippets(&self, web: &Web) -> Option<Markup> {
        let beat = self.watched.fixed.spec.heartbeat.as_ref().filter(|_| self.reader.is_editor())?;
        let settings = web.app().settings.load();
        let base = settings.base_url.as_str().trim_end_matches('/').to_owned();
        let slug = &self.watched.fixed.slug;
        let main = match beat.ping_id {
            Some(id) => format!("{base}/ping/{id}"),
            None => format!("{base}/ping/{}/{slug}", settings.ping_key.expose()),
        };
        let mut addresses = vec![("By short name", format!("{base}/ping/{}/{slug}", settings.ping_key.expose()))];
        addresses.extend(beat.ping_id.map(|id| ("By id", format!("{base}/ping/{id}"))));
        addresses.extend(
            beat.push_token.as_ref().map(|token| ("By push token", format!("{base}/api/push/{}", token.expose()))),
        );
        let key = settings.ping_key.expose();
        let variants = call_snippets(slug.as_str(), beat, &base, &main, key);
        Some(html! {
            section.panel.mt aria-labelledby="h-call" {
                div.panel-h { h2 #h-call { "How it calls in" } span.sub { "the addresses are secrets" } }
                div.panel-b.stack {
                    dl.facts {
                        @for (word, address) in &addresses {
                            div { dt { (word) } dd.mono.copyable { span { (address) } (copy(address)) } }
                        }
                    }
                    div.snippets { @for (word, text) in &variants {
                        figure { figcaption { (word) (copy(text)) } pre.code.wrap { (text) } }
                    } }
                    p.hint {
                        "Add "
                        code.mono { "/start" }
                        " before the job and "
                        code.mono { "/fail" }
                        " or the exit status after it to see how long it runs and why it failed."
                    }
                }
            }
        })
    }
}

/// How jobs of all sorts call in, ready to be copied.
fn call_snippets(slug: &str, beat: &HeartbeatSpec, base: &str, main: &str, key: &str) -> Vec<(&'static str, String)> {
    let schedule = beat.schedule.as_deref().unwrap_or_default();
    let is_cron = schedule.split_whitespace().count() >= 5 || schedule.starts_with('@');
    let cron = if is_cron { schedule } else { "0 3 * * *" };
    let zone = beat.timezone.as_deref().map(|zone| format!("CRON_TZ={zone}\n")).unwrap_or_default();
    let timer = match (schedule, &beat.timezone) {
        ("", _) => format!("OnBootSec=1min\nOnUnitActiveSec={}", beat.interval.map_or(3600, |it| it.0.as_secs())),
        (_, _) if is_cron => "# the same as the cron line\nOnCalendar=*-*-* 03:00:00".to_owned(),
        (event, Some(zone)) => format!("OnCalendar={event} {zone}\nPersistent=true"),
        (event, None) => format!("OnCalendar={event}\nPersistent=true"),
    };
    let curl = "curl -fsS -m 10 --retry 5 -o /dev/null";
    vec![
        ("curl", format!("{curl} {main}")),
        (
            "cron",
            format!(
                "{zone}{cron} U={main}; curl -fsS -m 10 -o /dev/null $U/start; o=$(/path/to/job 2>&1); r=$?; echo \"$o\" | tail -c 10000 | {curl} --data-binary @- $U/$r"
            ),
        ),
        ("systemd service", systemd_service(slug, main)),
        (
            "systemd timer",
            format!(
                "# /etc/systemd/system/{slug}.timer\n[Unit]\nDescription={slug}\n\n[Timer]\n{timer}\n\n[Install]\nWantedBy=timers.target"
            ),
        ),
        (
            "PowerShell",
            format!(
                "$u = \"{main}\"\nInvoke-RestMethod -TimeoutSec 10 \"$u/start\"\n& C:\\path\\to\\job.exe\nInvoke-RestMethod -TimeoutSec 10 -MaximumRetryCount 5 \"$u/$LASTEXITCODE\""
            ),
        ),
        ("runitor", format!("runitor -api-url {base}/ping -ping-key {key} -slug {slug} -- /path/to/job")),
    ]
}

/// A unit that tells of its start and of its end, whichever it is. `%%` and `$$` are systemd's own escapes.
fn systemd_service(slug: &str, main: &str) -> String {
    let curl = "/usr/bin/curl -fsS -m 10 --retry 5 -o /dev/null";
    format!(
        "# /etc/systemd/system/{slug}.service\n[Unit]\nDescription={slug}\nWants=network-online.target\nAfter=network-online.target\n\n\
         [Service]\nType=oneshot\nExecStartPre=-{curl} {main}/start\nExecStart=/path/to/job\n\
         ExecStopPost=-/bin/sh -c 'exec {curl} {main}/$$(if [ \"$$EXIT_CODE\" = exited ]; then echo $$EXIT_STATUS; else echo fail; fi)'"
    )
}

/// A button that copies; it appears with the script that serves it.
fn copy(text: &str) -> Markup {
    html! { button.btn.ghost.sm type="button" hidden data-copy=(text) { (parts::icon("copy")) "Copy" } }
}

fn days_before(days: &[u32]) -> String {
    let mut days = days.to_vec();
    days.sort_unstable_by(|a, b| b.cmp(a));
    match days.is_empty() {
        true => "never".to_owned(),
        false => format!("{} days before", days.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snippets(beat: &HeartbeatSpec) -> Vec<(&'static str, String)> {
        call_snippets("nightly", beat, "https://watch.example", "https://watch.example/ping/5bf66975", "key")
    }

    fn snippet(beat: &HeartbeatSpec, word: &str) -> String {
        snippets(beat).into_iter().find(|(name, _)| *name == word).unwrap().1
    }

    /// systemd itself reads them: `systemd-analyze verify`, with a job that is there.
    #[test]
    fn the_units_are_units_that_systemd_takes() {
        let written = |schedule: Option<&str>, timezone: Option<&str>| HeartbeatSpec {
            interval: schedule.is_none().then(|| watchbell_core::Span::secs(3600)),
            schedule: schedule.map(str::to_owned),
            timezone: timezone.map(str::to_owned),
            ..HeartbeatSpec::default()
        };
        for beat in [
            written(None, None),
            written(Some("0 3 * * *"), Some("Europe/Berlin")),
            written(Some("Mon..Fri 03:00"), Some("Europe/Berlin")),
            written(Some("daily"), None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let timer = folder.path().join("nightly.timer");
            std::fs::write(&timer, snippet(&beat, "systemd timer")).unwrap();
            let service = folder.path().join("nightly.service");
            let text = snippet(&beat, "systemd service").replace("/path/to/job", "/bin/true");
            std::fs::write(&service, &text).unwrap();
            let output = std::process::Command::new("systemd-analyze")
                .args(["verify", "--man=no"])
                .args([&service, &timer])
                .output()
                .expect("systemd-analyze is there: cargo xtask test installs it");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("nightly."), "{said}\n{text}");
        }
    }

    #[test]
    fn the_cron_line_is_a_line_that_a_shell_takes() {
        let beat = HeartbeatSpec { schedule: Some("*/5 * * * *".into()), ..HeartbeatSpec::default() };
        let line = snippet(&beat, "cron");
        let command = line.strip_prefix("*/5 * * * * ").unwrap();
        assert!(!command.contains('%'), "cron takes % for the end of a line");
        let output = std::process::Command::new("sh").args(["-n", "-c", command]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(snippet(&beat, "runitor").starts_with("runitor -api-url https://watch.example/ping -ping-key key"));
    }
}
