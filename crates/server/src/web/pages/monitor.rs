//! One monitor: shape, name and target; down for how long and why, since when, who knows, what is next; then the
//! response, what was lost, the evidence, the past, the settings.

use std::time::Duration;

use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use watchbell_core::decide::Sight;
use watchbell_core::{Timestamp, Verdict};
use watchbell_store::{Bucket, Delivery, DeliveryFilter, DeliveryState, Gap, Incident, IncidentFilter, StoredResult};

use super::evidence::{self, Side};
use super::overview::{cause, group_of, suspect, told};
use crate::live::{Origin, Shown, Watched};
use crate::web::draw::chart::{Chart, Window};
use crate::web::draw::days::days;
use crate::web::draw::strip::{Pitch, strip};
use crate::web::draw::waterfall::{ends_in_a_phase, waterfall};
use crate::web::error::Failure;
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::past::{self, DAY};
use crate::web::reader::{Reader, Said};
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts, summary, words};

/// Results shown one by one.
const RECENT: usize = 20;
/// Results in the small strip beside the answer.
const LAST_CHECKS: usize = 57;
const INCIDENTS: usize = 8;
/// Whoever asks for a check waits for its answer this long; then it appears by itself.
const WAIT_FOR_CHECK: Duration = Duration::from_secs(12);

/// Rows of evidence that say more of a certificate.
const ABOUT_TLS: [&str; 4] = ["Certificate", "Issuer", "Names", "Protocol"];

#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    window: String,
}

/// `GET /monitors/{slug}`
pub(crate) async fn page(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let parts = Parts::load(&web, &reader, &slug, &asked.window).await?;
    let all = parts.all();
    let main = html! {
        (all.head) (all.answer) (all.chart)
        @if let Some(snippets) = parts.snippets(&web) { (snippets) }
        div.cols-2.mt { (all.evidence) (all.phases) }
        (all.days)
        div.cols-2.mt { (all.incidents) (all.results) }
        div.cols-2.mt { (all.certificate) (all.settings) }
    };
    let group = group_of(&parts.watched);
    let mut above = vec![(links::overview(), "Overview".to_owned())];
    if !group.is_empty() {
        above.push((links::filtered(&format!("group:{}", parts::quoted(group))), group.to_owned()));
    }
    let name = parts.watched.fixed.title();
    let page = Page {
        title: parts.title(),
        above,
        live: format!("of=monitor&slug={slug}&window={}", parts.window.name()),
        scripts: &["chart.js"],
        aside: neighbours(&monitors, &parts.watched),
        ..Page::new(name, Place::Overview, main)
    };
    Ok(layout::page(&web, &reader, &shell, page))
}

/// The same, in parts, for the event stream.
pub(crate) async fn view(web: &Web, reader: &Reader, slug: &str, window: &str) -> Result<View, Failure> {
    let parts = Parts::load(web, reader, slug, window).await?;
    let all = parts.all();
    let fragments = vec![
        Fragment::new("m-head", all.head),
        Fragment::new("m-answer", all.answer),
        Fragment::new("m-chart", all.chart),
        Fragment::new("m-evidence", all.evidence),
        Fragment::new("m-phases", all.phases),
        Fragment::new("m-days", all.days),
        Fragment::new("m-incidents", all.incidents),
        Fragment::new("m-results", all.results),
        Fragment::new("m-certificate", all.certificate),
        Fragment::new("m-settings", all.settings),
    ];
    Ok(View { title: parts.title(), fragments })
}

/// `POST /monitors/{slug}/check`
pub(crate) async fn check(State(web): State<Web>, reader: Reader, Path(slug): Path<String>) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    let asking = web.app().engine.check_now(watched.fixed.slug.clone());
    let said = match tokio::time::timeout(WAIT_FOR_CHECK, asking).await {
        Ok(answer) => {
            answer?;
            Said::Checked
        }
        Err(_) => Said::StillAsking,
    };
    Ok(reader.done(&links::monitor(&slug), said))
}

/// `POST /monitors/{slug}/pause`
pub(crate) async fn pause(State(web): State<Web>, reader: Reader, Path(slug): Path<String>) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    web.app().engine.pause(watched.fixed.slug.clone()).await?;
    Ok(reader.done(&links::monitor(&slug), Said::Paused))
}

/// `POST /monitors/{slug}/resume`
pub(crate) async fn resume(State(web): State<Web>, reader: Reader, Path(slug): Path<String>) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    web.app().engine.resume(watched.fixed.slug.clone()).await?;
    Ok(reader.done(&links::monitor(&slug), Said::Resumed))
}

#[derive(serde::Deserialize)]
pub(crate) struct Taken {
    #[serde(default)]
    note: String,
}

/// A note is read at a glance.
const LONGEST_NOTE: usize = 500;

/// `POST /monitors/{slug}/acknowledge`
pub(crate) async fn acknowledge(
    State(web): State<Web>,
    reader: Reader,
    Path(slug): Path<String>,
    Form(taken): Form<Taken>,
) -> Result<Response, Failure> {
    let watched = find(&web, &slug)?;
    let note: String = taken.note.trim().chars().take(LONGEST_NOTE).collect();
    web.app().engine.acknowledge(watched.fixed.slug.clone(), reader.caller.name().to_owned(), note).await?;
    Ok(reader.done(&links::monitor(&slug), Said::Acknowledged))
}

pub(super) fn find(web: &Web, slug: &str) -> Result<Watched, Failure> {
    web.app().live.get(slug).ok_or(Failure::NotFound)
}

/// To the problem before and after this one, for who walks through them.
fn neighbours(monitors: &[Watched], watched: &Watched) -> Markup {
    let problems = summary::problems(monitors);
    let Some(here) = problems.iter().position(|it| it.fixed.id == watched.fixed.id) else { return Markup::default() };
    let link = |to: Option<&&Watched>, icon: &str, word: &str, key: &str| {
        html! {
            @if let Some(to) = to {
                a.btn.ghost.sm.icon href=(links::monitor(&to.fixed.slug)) aria-label=(word) title={ (word) "  " (key) } data-key=(key) { (parts::icon(icon)) }
            }
        }
    };
    html! {
        span.row.hide-m {
            (link(here.checked_sub(1).and_then(|place| problems.get(place)), "up", "Previous problem", "["))
            (link(problems.get(here + 1), "down", "Next problem", "]"))
        }
    }
}

/// What the page is made of.
struct Parts<'a> {
    reader: &'a Reader,
    watched: Watched,
    window: Window,
    buckets: Vec<Bucket>,
    gaps: Vec<Gap>,
    results: Vec<StoredResult>,
    incidents: Vec<Incident>,
    /// What was sent about the open incident.
    deliveries: Vec<Delivery>,
    /// The last failure and the last success, also from before the last start.
    failed: Option<Side>,
    worked: Option<Side>,
    /// The history could not be read.
    history_missing: bool,
}

/// Every part, ready.
struct All {
    head: Markup,
    answer: Markup,
    chart: Markup,
    evidence: Markup,
    phases: Markup,
    days: Markup,
    incidents: Markup,
    results: Markup,
    certificate: Markup,
    settings: Markup,
}

impl<'a> Parts<'a> {
    async fn load(web: &Web, reader: &'a Reader, slug: &str, window: &str) -> Result<Self, Failure> {
        let watched = find(web, slug)?;
        let window = Window::named(window, reader.now().since(watched.fixed.created_at));
        let (store, id, now) = (&web.app().store, watched.fixed.id, reader.now());
        let of_incident = watched.state.incident.as_ref().map(|incident| DeliveryFilter {
            monitor: Some(id),
            incident: Some(incident.seq),
            ..DeliveryFilter::default()
        });
        let told = async {
            match &of_incident {
                Some(filter) => store.deliveries(filter, watchbell_store::Page::first(50)).await,
                None => Ok(Vec::new()),
            }
        };
        let filter = IncidentFilter { monitor: Some(id), ..IncidentFilter::default() };
        let (buckets, gaps, results, incidents, deliveries) = tokio::join!(
            store.chart(id, now - window.length(), now, window.buckets()),
            store.gaps(Some(id), now - DAY * 90, now),
            store.results(id, now - DAY * 90, now + Duration::from_secs(1), LAST_CHECKS, true),
            store.incidents(&filter, watchbell_store::Page::first(INCIDENTS)),
            told,
        );
        let (mut failed, mut worked) = (watched.last_fail.as_deref().map(Side::from), watched.last_ok.as_deref().map(Side::from));
        if failed.is_none() || worked.is_none() {
            // Newest first. What was kept is still worth showing while the store can be asked.
            for kept in store.evidence(id, 50).await.unwrap_or_default() {
                let side = if kept.kind == "failure" { &mut failed } else { &mut worked };
                if side.is_none() {
                    *side = Some(kept.into());
                }
            }
        }
        let history_missing = buckets.is_err() || results.is_err() || incidents.is_err();
        Ok(Self {
            reader,
            watched,
            window,
            buckets: buckets.unwrap_or_default(),
            gaps: gaps.unwrap_or_default(),
            results: results.unwrap_or_default(),
            incidents: incidents.unwrap_or_default(),
            deliveries: deliveries.unwrap_or_default(),
            failed,
            worked,
            history_missing,
        })
    }

    fn all(&self) -> All {
        All {
            head: self.head(),
            answer: self.answer(),
            chart: self.chart(),
            evidence: self.evidence(),
            phases: self.phases(),
            days: self.days(),
            incidents: self.incidents(),
            results: self.results(),
            certificate: self.certificate(),
            settings: self.settings(),
        }
    }

    fn title(&self) -> String {
        let name = self.watched.fixed.title();
        match self.watched.shown() {
            Shown::Down => format!("■ {name} is down"),
            Shown::Degraded => format!("▲ {name} is slow"),
            Shown::Unknown => format!("○ {name} is unknown"),
            _ => name.to_owned(),
        }
    }

    fn is_heartbeat(&self) -> bool {
        self.watched.fixed.spec.heartbeat.is_some()
    }

    fn now(&self) -> Timestamp {
        self.reader.now()
    }

    fn head(&self) -> Markup {
        let (watched, shown) = (&self.watched, self.watched.shown());
        let target = watched.fixed.spec.target();
        let is_link = target.starts_with("http://") || target.starts_with("https://");
        html! {
            div.headline.tight #m-head {
                (parts::glyph(shown.class(), 40))
                div {
                    h1 { (watched.fixed.title()) span.sr { ", " (shown.word()) } }
                    p {
                        @if is_link { a.quiet.mono href=(target) rel="noreferrer noopener" { (target) } } @else { span.mono { (target) } }
                        @if !watched.fixed.spec.tags.is_empty() { " " span.tags { @for tag in &watched.fixed.spec.tags { (parts::tag(tag)) } } }
                    }
                }
                @if self.reader.is_editor() { div.end.row.acts { (self.actions()) } }
            }
        }
    }

    fn actions(&self) -> Markup {
        let (slug, fixed) = (&self.watched.fixed.slug, &self.watched.fixed);
        let action = |name: &str| links::monitor_action(slug, name);
        html! {
            @if !self.is_heartbeat() {
                form.inline method="post" action=(action("check")) data-post="" {
                    button.btn.primary data-key="c" { (parts::icon("again")) "Check now" }
                }
            }
            @if self.watched.state.paused {
                form.inline method="post" action=(action("resume")) data-post="" { button.btn.primary[self.is_heartbeat()] data-key="p" { (parts::icon("right")) "Resume" } }
            } @else {
                form.inline method="post" action=(action("pause")) data-post="" { button.btn data-key="p" { (parts::icon("pause")) "Pause" } }
            }
            a.btn href=(action("edit")) data-key="e" { (parts::icon("edit")) @if fixed.origin == Origin::File { "Settings" } @else { "Edit" } }
            details.drop {
                summary.btn.icon aria-label="More" title="More" { (parts::icon("more")) }
                div.menu {
                    a href=(action("duplicate")) { (parts::icon("copy")) "Duplicate" }
                    @if fixed.origin == Origin::Console { a.danger href=(action("delete")) { (parts::icon("bin")) "Delete…" } }
                    @else { p.hint { "To delete it, take it out of the configuration file." } }
                }
            }
        }
    }

    fn answer(&self) -> Markup {
        let shown = self.watched.shown();
        html! {
            section.panel.answer.(shown.class()) #m-answer aria-label="State" {
                div { (self.what()) }
                div { (self.since()) }
                div { (self.who()) }
                div { (self.next()) }
            }
        }
    }

    /// Down for, Up for, and what was seen.
    fn what(&self) -> Markup {
        let (watched, shown) = (&self.watched, self.watched.shown());
        let big = match shown {
            Shown::Up => match watched.last.as_ref().and_then(|last| last.evidence.rows.first()) {
                Some(row) => row.value.clone(),
                None if self.is_heartbeat() => "It calls in on time".to_owned(),
                None => "It answers as it should".to_owned(),
            },
            Shown::Pending if self.is_heartbeat() => "Waits for its first call".to_owned(),
            Shown::Pending => "First check is on its way".to_owned(),
            Shown::Paused => "Nobody looks".to_owned(),
            _ => cause(watched),
        };
        let checks: Vec<Verdict> = self.results.iter().rev().map(|it| verdict_of(&it.sight)).collect();
        html! {
            h2 {
                @match shown {
                    Shown::Pending => "New",
                    Shown::Paused => "Paused",
                    _ => { (shown.word()) " for " (self.reader.calendar.fine_age(watched.state.since)) },
                }
            }
            p.big { (big) }
            @if let Some(hint) = suspect(watched) { p.degraded-t { (hint) ", not yet confirmed." } }
            @else if shown == Shown::Up && let Some(last) = &watched.last && !self.is_heartbeat() {
                p { "In " (words::latency(last.took)) ", " (self.reader.calendar.age(last.at)) " ago." }
            } @else if shown == Shown::Unknown {
                p { "We could not ask. It counts neither as up nor as down." }
            }
            @if !checks.is_empty() { (strip(&checks, Pitch::Table, &told_checks(&checks, self.is_heartbeat()))) }
        }
    }

    fn since(&self) -> Markup {
        let (watched, calendar) = (&self.watched, &self.reader.calendar);
        let state = &watched.state;
        let confirmed = watched.history.last().filter(|it| it.new == state.verdict).map(|it| it.at);
        let last_good = self.last_good();
        html! {
            h2 { "Since" }
            p.big.num { (calendar.time(if watched.shown() == Shown::Pending { watched.fixed.created_at } else { state.since })) }
            @match watched.shown() {
                Shown::Down => p {
                    @if let Some(at) = confirmed.filter(|at| *at > state.since) { "Confirmed " (calendar.time(at)) @if !self.is_heartbeat() { " by " (watched.fixed.policy.failure_threshold) " failures in a row" } ". " }
                    @match last_good { Some(at) => { "Last good " (if self.is_heartbeat() { "call " } else { "answer " }) (calendar.time(at)) "." }, None if self.never_worked() => "It never worked yet.", None => {} }
                },
                Shown::Degraded => p { @if let Some(limit) = watched.fixed.slow_above { "Slow is above " (words::latency(limit)) ". It does answer." } },
                Shown::Pending => p { "Made then." },
                Shown::Paused => p { "Nothing is asked and nobody is told." },
                Shown::Unknown => p { @if let Some(at) = last_good { "Last good answer " (calendar.time(at)) "." } },
                Shown::Up => p { @match watched.history.iter().rev().find(|it| it.old == Verdict::Down) {
                    Some(_) => { "Up again since then." },
                    None => { "Never down since " (calendar.day_time(watched.fixed.created_at.max(self.now() - DAY * 90))) "." },
                } },
            }
        }
    }

    /// When it answered well last, as far as that is still known.
    fn last_good(&self) -> Option<Timestamp> {
        let live = self.watched.last_ok.as_ref().map(|seen| seen.at);
        live.or_else(|| self.results.iter().find(|it| matches!(it.sight, Sight::Ok | Sight::Slow(_))).map(|it| it.at))
    }

    fn never_worked(&self) -> bool {
        let good = |verdict: Verdict| matches!(verdict, Verdict::Up | Verdict::Degraded);
        let young = self.now().since(self.watched.fixed.created_at) < DAY * 90;
        young && !self.watched.history.iter().any(|it| good(it.old) || good(it.new))
    }

    fn who(&self) -> Markup {
        let (watched, calendar) = (&self.watched, &self.reader.calendar);
        let would: Vec<&str> = watched.fixed.notify.iter().map(watchbell_core::Slug::as_str).collect();
        html! {
            @match (watched.shown(), &watched.acknowledged) {
                (_, Some(it)) => {
                    h2 { "Who knows" }
                    p.big { (parts::avatar(&it.by, true)) (it.by) }
                    p {
                        "Acknowledged " (calendar.time(it.at)) @if !it.note.is_empty() { ": “" (it.note) "”" } ". "
                        (self.told())
                    }
                },
                (Shown::Down, None) => {
                    h2 { "Who knows" }
                    p.big.down-t { "Nobody has it" }
                    p { (self.told()) }
                    @if self.reader.is_editor() {
                        form.ack method="post" action=(links::monitor_action(&watched.fixed.slug, "acknowledge")) data-post="" {
                            input.inp name="note" maxlength="500" placeholder="Note, if you like" aria-label="Note" autocomplete="off";
                            button.btn.primary[self.is_heartbeat()] data-key="a" { (parts::icon("ack")) "Acknowledge" }
                        }
                    }
                },
                (Shown::Degraded | Shown::Unknown, None) => { h2 { "Who knows" } p.big { "Nobody needs to act yet" } p { (told(watched)) "." } },
                (_, None) => {
                    h2 { "Who would be told" }
                    @if would.is_empty() {
                        p.big { "Nobody" }
                        p { "No channel is named for it. " @if self.reader.is_editor() { a.link href=(links::monitor_action(&watched.fixed.slug, "edit")) { "Choose one" } } }
                    } @else {
                        p.big { (words::listed(&would)) }
                        p { "At the latest " (words::setting(watched.fixed.policy.told_within())) " after an outage begins." }
                    }
                },
            }
        }
    }

    /// Who was told of the open incident, and whether it arrived.
    fn told(&self) -> Markup {
        let down: Vec<&Delivery> = self.deliveries.iter().filter(|it| it.event == "down").collect();
        let arrived = down.iter().filter(|it| it.state == DeliveryState::Done).count();
        let dead = down.iter().filter(|it| it.state == DeliveryState::Dead).count();
        html! {
            (told(&self.watched))
            @if down.is_empty() { "." }
            @else if arrived == down.len() { ", " (if down.len() == 1 { "delivered" } else { "all delivered" }) "." }
            @else {
                ", " (arrived) " of " (down.len()) " delivered"
                @if dead > 0 { ", " a.link href={ (links::deliveries()) "?show=dead" } { (dead) " given up" } }
                "."
            }
        }
    }

    fn next(&self) -> Markup {
        let (watched, calendar) = (&self.watched, &self.reader.calendar);
        let policy = &watched.fixed.policy;
        let reminder = watched.state.incident.as_ref().and_then(|incident| incident.remind_at);
        let due = watchbell_core::decide::deadline(policy, &watched.state).map(|(moment, _)| moment);
        html! {
            @match (watched.shown(), reminder) {
                (Shown::Paused, _) => {
                    h2 { "Next" }
                    p.big { "Nothing" }
                    p { "Until somebody resumes it." }
                },
                (Shown::Down, Some(at)) if watched.acknowledged.is_none() => {
                    h2 { "Next reminder" }
                    p.big.num { (calendar.time(at)) }
                    p { "Every " (words::setting(policy.remind_every.unwrap_or_default())) " until somebody acknowledges it. " (self.next_check()) }
                },
                (Shown::Down, _) => {
                    h2 { @if watched.next_check.is_some() { "Next check" } @else { "Next" } }
                    @if let Some(at) = watched.next_check { p.big.num { (calendar.time(at)) } } @else { p.big { "When it calls" } }
                    p {
                        @if self.is_heartbeat() { "Its next call ends this. " } @else { (policy.success_threshold) " good answers in a row end this. " }
                        @if watched.acknowledged.is_some() { "No reminders: somebody has it." }
                        @else if policy.remind_every.is_none() { "Nobody is reminded." }
                    }
                },
                (_, _) if self.is_heartbeat() => {
                    h2 { "Next call" }
                    @match due {
                        Some(at) => {
                            p.big.num { (calendar.time(at - policy.heartbeat.as_ref().map_or(Duration::ZERO, |it| it.grace))) }
                            p { "At the latest " (calendar.time(at)) ", then it is overdue." }
                        },
                        None => { p.big { "Whenever it comes" } p { "It is not judged before its first call." } },
                    }
                },
                (_, _) => {
                    h2 { "Next check" }
                    p.big.num { @match watched.next_check { Some(at) => (calendar.time(at)), None => "soon" } }
                    p { "Every " (words::setting(policy.interval)) "." }
                },
            }
        }
    }

    fn next_check(&self) -> Markup {
        html! { @if let Some(at) = self.watched.next_check { "Next check " (self.reader.calendar.time(at)) "." } }
    }

    fn chart(&self) -> Markup {
        let (watched, now) = (&self.watched, self.now());
        let stretches = past::stretches(watched, &self.gaps, now - self.window.length(), now);
        let chart = Chart {
            window: self.window,
            to: now,
            buckets: &self.buckets,
            stretches: &stretches,
            slow_above: watched.fixed.slow_above,
            interval: watched.fixed.policy.interval,
            down_for: (watched.shown() == Shown::Down).then(|| now.since(watched.state.since)),
            calendar: &self.reader.calendar,
        };
        let here = links::monitor(&watched.fixed.slug);
        html! {
            section.panel #m-chart aria-labelledby="h-resp" data-hold="" {
                @if !self.is_heartbeat() {
                    div.panel-h {
                        h2 #h-resp { "Response time" }
                        span.legend.hide-s {
                            span { svg aria-hidden="true" { line.key-p50 x2="16" y1="5" y2="5" {} } "Median" }
                            span { svg aria-hidden="true" { rect.key-band width="16" height="10" {} } "to 95th percentile" }
                            @if stretches.iter().any(|it| it.verdict == Verdict::Down) {
                                span { svg aria-hidden="true" { rect.key-inc x=".5" y=".5" width="15" height="9" {} } "Down" }
                            }
                        }
                        span.end {
                            span.seg role="group" aria-label="Window" {
                                @for (place, window) in Window::ALL.into_iter().enumerate() {
                                    a href={ (here) "?window=" (window.name()) "#m-chart" } aria-current=[(window == self.window).then_some("true")] data-key=(place + 1) { (window.word()) }
                                }
                            }
                        }
                    }
                    @if self.history_missing { p.note.unknown.in-panel { (parts::glyph("unknown", 16)) span { b { "History is not available." } " The database does not answer; the state above is from memory." } } }
                    div.panel-b.chart-pad {
                        (chart.draw())
                        details.more { summary { "Show as table" } (chart.table()) }
                    }
                } @else {
                    div.panel-h { h2 #h-resp { "Uptime" } }
                }
                div.tiles.ruled[!self.is_heartbeat()] {
                    @for (days, word) in [(1_u32, "24\u{a0}hours"), (7, "7\u{a0}days"), (30, "30\u{a0}days"), (90, "90\u{a0}days")] {
                        @let uptime = past::uptime(watched, &self.gaps, now, DAY * days);
                        @let percent = past::percent(&uptime);
                        div.tile {
                            span { @if days == 1 { "Uptime " } (word) }
                            b { @match percent.strip_suffix('%') { Some(figure) => { (figure) small { "%" } }, None => (percent) } }
                            em { (lost(&uptime, watched, now, DAY * days)) }
                        }
                    }
                }
            }
        }
    }

    fn evidence(&self) -> Markup {
        html! { section.panel #m-evidence aria-labelledby="h-ev" { (evidence::compared(self.failed.as_ref(), self.worked.as_ref(), &self.reader.calendar)) } }
    }

    fn phases(&self) -> Markup {
        let last = self.watched.last.as_deref();
        let usual = self.watched.last_ok.as_deref().filter(|ok| last.is_some_and(|last| last.at != ok.at));
        html! {
            section.panel #m-phases aria-labelledby="h-fall" {
                @match last {
                    Some(last) if !self.is_heartbeat() => {
                        div.panel-h { h2 #h-fall { "Phases of the last check" } @if usual.is_some() { span.sub { "outline: the last good one" } } }
                        div.panel-b { (waterfall(&last.phases, last.took, usual.map(|seen| &seen.phases), last.reason().is_some_and(|reason| ends_in_a_phase(&reason.code)), false)) }
                    },
                    Some(last) => {
                        div.panel-h { h2 #h-fall { "Last call" } }
                        div.panel-b { dl.facts {
                            div { dt { "Came" } dd { (self.reader.calendar.time(last.at)) ", " (self.reader.calendar.age(last.at)) " ago" } }
                            @if !last.took.is_zero() { div { dt { "Ran" } dd { (words::fine_length(last.took)) } } }
                            @if let Some(reason) = last.reason() { div { dt { "Said" } dd { (reason.text) } } }
                        } }
                    },
                    None => {
                        div.panel-h { h2 #h-fall { @if self.is_heartbeat() { "Last call" } @else { "Phases of the last check" } } }
                        div.panel-b { p.i3 { @if self.is_heartbeat() { "It has not called yet." } @else { "It was not asked yet." } } }
                    },
                }
            }
        }
    }

    fn days(&self) -> Markup {
        let now = self.now();
        let offset = self.reader.calendar.local(now).offset().seconds();
        let all = past::days(&self.watched, &self.gaps, now, offset);
        let uptime = past::uptime(&self.watched, &self.gaps, now, DAY * 90);
        let bad = all.iter().filter(|day| day.uptime.down > Duration::ZERO).count();
        let longest = all.iter().max_by_key(|day| day.uptime.down).filter(|day| day.uptime.down > Duration::ZERO);
        let mut label = format!("Ninety days: {} up, {} with an outage.", past::percent(&uptime), words::counted(bad, "day", "days"));
        if let Some(day) = longest {
            label.push_str(&format!(" The worst: {} on {}.", words::fine_length(day.uptime.down), self.reader.calendar.day(day.from)));
        }
        html! {
            section.panel.mt #m-days aria-labelledby="h-90" data-hold="" {
                div.panel-h {
                    h2 #h-90 { "Ninety days" }
                    span.sub { (past::percent(&uptime)) " up" }
                    span.end.legend.hide-s {
                        span { (parts::small_glyph("up")) "no trouble" }
                        span { (parts::small_glyph("degraded")) "slow" }
                        span { (parts::small_glyph("down")) "down, filled by time lost" }
                    }
                }
                div.panel-b { (days(&all, &label, &self.reader.calendar)) }
            }
        }
    }

    fn incidents(&self) -> Markup {
        let now = self.now();
        let lengths: Vec<Duration> = self.incidents.iter().filter_map(|it| Some(it.closed.as_ref()?.at.since(it.since))).collect();
        let mut sorted = lengths.clone();
        sorted.sort_unstable();
        html! {
            section.panel #m-incidents aria-labelledby="h-inc" {
                div.panel-h {
                    h2 #h-inc { "Incidents" }
                    @if self.incidents.len() == INCIDENTS { span.end { a.btn.ghost.sm href={ (links::incidents()) "?show=" (self.watched.fixed.slug) } { "All" } } }
                }
                @if self.incidents.is_empty() { div.panel-b { p.i3 { @if self.history_missing { "Not available just now." } @else { "None so far." } } } }
                @else {
                    table.tbl {
                        caption.sr { "Incidents of this monitor" }
                        colgroup { col.c-when; col; col.c-dur; col.c-by.hide-s; }
                        thead { tr { th scope="col" { "Began" } th scope="col" { "Cause" } th.r scope="col" { "Lasted" } th.hide-s scope="col" { "Had by" } } }
                        tbody { @for it in &self.incidents {
                            tr {
                                td.num { a.quiet href=(links::incident(&it.public_id())) { (self.reader.calendar.time(it.since)) } }
                                td { @if it.closed.is_none() { (parts::state("down", &it.reason.text)) } @else { (it.reason.text) } }
                                td.r.num { (words::length(it.closed.as_ref().map_or(now, |closing| closing.at).since(it.since))) }
                                td.hide-s.i3[it.acknowledged.is_none()] { (it.acknowledged.as_ref().map_or("nobody", |it| it.by.as_str())) }
                            }
                        } }
                    }
                    @if sorted.len() > 1 {
                        div.panel-f {
                            span { "Usually over in " b.b { (words::length(sorted[sorted.len() / 2])) } }
                            span { "Longest " b.b { (words::length(sorted[sorted.len() - 1])) } }
                        }
                    }
                }
            }
        }
    }

    fn results(&self) -> Markup {
        html! {
            section.panel #m-results aria-labelledby="h-res" {
                div.panel-h { h2 #h-res { @if self.is_heartbeat() { "Recent calls" } @else { "Recent results" } } }
                @if self.results.is_empty() { div.panel-b { p.i3 { @if self.history_missing { "Not available just now." } @else { "None yet." } } } }
                @else {
                    table.tbl.dense {
                        caption.sr { "Recent results, newest first" }
                        colgroup { col.c-time; col.c-dur; col; }
                        thead { tr { th scope="col" { "Time" } th.r scope="col" { @if self.is_heartbeat() { "Ran" } @else { "Took" } } th scope="col" { "Result" } } }
                        tbody { @for it in self.results.iter().take(RECENT) {
                            @let (class, word) = sight_words(&it.sight);
                            tr {
                                td.num { (self.reader.calendar.time(it.at)) }
                                td.r.num { @if self.is_heartbeat() && it.took_us == 0 { span.i3 { "–" } } @else { (words::millis(Duration::from_micros(u64::from(it.took_us)))) } }
                                td { (parts::state(class, word)) }
                            }
                        } }
                    }
                }
            }
        }
    }

    fn certificate(&self) -> Markup {
        let seen = [&self.watched.last, &self.watched.last_ok].into_iter().flatten().find(|seen| seen.expires_at.is_some());
        html! {
            section.panel #m-certificate aria-labelledby="h-note" {
                @if let Some(ends) = seen.and_then(|seen| seen.expires_at) {
                    div.panel-h { h2 #h-note { "Certificate" } }
                    div.panel-b { dl.facts {
                        div { dt { "Ends" } dd {
                            @if ends > self.now() { b.b { "in " (words::length(ends.since(self.now()))) } } @else { b.b.down-t { "it has ended" } }
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

    fn settings(&self) -> Markup {
        let (fixed, policy) = (&self.watched.fixed, &self.watched.fixed.policy);
        let notify: Vec<&str> = fixed.notify.iter().map(watchbell_core::Slug::as_str).collect();
        html! {
            section.panel #m-settings aria-labelledby="h-cfg" {
                div.panel-h {
                    h2 #h-cfg { "Configuration" }
                    span.sub { @match fixed.origin { Origin::File => "from the configuration file", Origin::Console => "made in the console" } }
                    @if self.reader.is_editor() { span.end { a.btn.ghost.sm href=(links::monitor_action(&fixed.slug, "edit")) { @if fixed.origin == Origin::File { "Show" } @else { "Edit" } } } }
                }
                div.panel-b { dl.facts {
                    @if let Some(expectation) = &policy.heartbeat {
                        div { dt { "Expects" } dd { "a call " (fixed.spec.target()) ", at most " (words::setting(expectation.grace)) " late" } }
                        @if let Some(run) = expectation.max_run { div { dt { "May run" } dd { (words::setting(run)) } } }
                    } @else {
                        div { dt { "Check" } dd { (fixed.spec.kind().to_uppercase()) " every " (words::setting(policy.interval)) ", timeout " (words::setting(policy.timeout)) } }
                        div { dt { "Counts as down" } dd {
                            @if policy.failure_threshold == 1 { "at the first failure" } @else { (policy.failure_threshold) " failures in a row, " (words::setting(policy.retry_interval)) " apart" }
                        } }
                        div { dt { "Counts as up" } dd { (words::counted(policy.success_threshold as usize, "good answer", "good answers in a row")) } }
                        @if let Some(limit) = fixed.slow_above { div { dt { "Counts as slow" } dd { "over " (words::latency(limit)) ", " (policy.slow_threshold) " times in a row" } } }
                    }
                    div { dt { "Tells" } dd {
                        @if notify.is_empty() { "nobody" }
                        @for (place, slug) in notify.iter().enumerate() { @if place > 0 { ", " } a.link href=(links::channel(slug)) { (slug) } }
                        @if let Some(every) = policy.remind_every { ", again every " (words::setting(every)) }
                    } }
                    div { dt { "Short name" } dd.mono { (fixed.slug) } }
                } }
            }
        }
    }

    /// How a job calls in, with its real addresses; only for who may change it, since they are secrets.
    fn snippets(&self, web: &Web) -> Option<Markup> {
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
        addresses.extend(beat.push_token.as_ref().map(|token| ("By push token", format!("{base}/api/push/{}", token.expose()))));
        let line = beat.schedule.as_deref().unwrap_or("*/5 * * * *");
        let variants = [
            ("curl", format!("curl -fsS -m 10 --retry 5 -o /dev/null {main}")),
            ("cron", format!("{line} /path/to/job && curl -fsS -m 10 --retry 5 -o /dev/null {main}")),
            ("With start and exit status", format!("curl -fsS -m 10 -o /dev/null {main}/start\n/path/to/job\ncurl -fsS -m 10 --retry 5 -o /dev/null {main}/$?")),
            ("PowerShell", format!("Invoke-RestMethod -TimeoutSec 10 {main}")),
        ];
        Some(html! {
            section.panel.mt aria-labelledby="h-call" {
                div.panel-h { h2 #h-call { "How it calls in" } span.sub { "the addresses are secrets" } }
                div.panel-b.stack {
                    dl.facts { @for (word, address) in &addresses { div { dt { (word) } dd.mono.copyable { span { (address) } (copy(address)) } } } }
                    div.snippets { @for (word, text) in &variants {
                        figure { figcaption { (word) (copy(text)) } pre.code.wrap { (text) } }
                    } }
                    p.hint { "Add " code.mono { "/start" } " before the job and " code.mono { "/fail" } " or the exit status after it to see how long it runs and why it failed." }
                }
            }
        })
    }
}

/// A button that copies; it appears with the script that serves it.
fn copy(text: &str) -> Markup {
    html! { button.btn.ghost.sm type="button" hidden data-copy=(text) { (parts::icon("copy")) "Copy" } }
}

pub(crate) fn verdict_of(sight: &Sight) -> Verdict {
    match sight {
        Sight::Ok => Verdict::Up,
        Sight::Slow(_) => Verdict::Degraded,
        Sight::Fail(_) => Verdict::Down,
        Sight::Local(_) | Sight::Missed(_) => Verdict::Unknown,
    }
}

/// The class and the words of one result.
pub(crate) fn sight_words(sight: &Sight) -> (&'static str, &str) {
    match sight {
        Sight::Ok => ("up", "Good"),
        Sight::Slow(reason) => ("degraded", &reason.text),
        Sight::Fail(reason) => ("down", &reason.text),
        Sight::Local(reason) | Sight::Missed(reason) => ("unknown", &reason.text),
    }
}

/// "Last 57 checks: 43 good, then 14 failed", or how many of each.
fn told_checks(checks: &[Verdict], calls: bool) -> String {
    let what = if calls { "calls" } else { "checks" };
    let failed = checks.iter().filter(|it| **it == Verdict::Down).count();
    let good = checks.len() - failed;
    let ends_failing = checks.iter().rev().take(failed).all(|it| *it == Verdict::Down);
    match failed {
        0 => format!("Last {} {what}, all good", checks.len()),
        failed if ends_failing => format!("Last {} {what}: {good} good, then {failed} failed", checks.len()),
        failed => format!("Last {} {what}: {good} good, {failed} failed", checks.len()),
    }
}

/// What the uptime beside it leaves out, in time.
fn lost(uptime: &watchbell_core::history::Uptime, watched: &Watched, now: Timestamp, length: Duration) -> String {
    let mut said = Vec::new();
    if uptime.down > Duration::ZERO {
        said.push(format!("{} down", words::fine_length(uptime.down)));
    }
    // The time before it was made is no time in which nobody looked.
    let before = watched.fixed.created_at.since(now - length);
    let unknown = uptime.unknown.saturating_sub(before);
    if unknown > length / 1000 && unknown >= Duration::from_secs(60) {
        said.push(format!("{} not judged", words::length(unknown)));
    }
    match said.is_empty() {
        true if uptime.judged().is_zero() => "not judged yet".to_owned(),
        true => "nothing lost".to_owned(),
        false => said.join(", "),
    }
}

fn days_before(days: &[u32]) -> String {
    let mut days = days.to_vec();
    days.sort_unstable_by(|a, b| b.cmp(a));
    match days.is_empty() {
        true => "never".to_owned(),
        false => format!("{} days before", days.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
    }
}
