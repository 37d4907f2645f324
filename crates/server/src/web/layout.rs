//! The frame of the console: head, navigation, top bar, tabs on a phone. The watch box under the bell says on every
//! page how things stand.

use maud::{DOCTYPE, Markup, html};

use super::error::Failure;
use super::reader::Reader;
use super::stream::Fragment;
use super::summary::Summary;
use super::{Web, assets, links, parts, words};
use crate::live::Watched;

/// Which place of the navigation a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Incidents,
    Heartbeats,
    Alerting,
    Settings,
}

/// What the frame says on every page.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    pub summary: Summary,
    pub open: usize,
    /// Given-up deliveries; `None` while the store cannot be asked.
    pub dead: Option<u64>,
    late_ms: u64,
}

impl Shell {
    pub(crate) async fn load(web: &Web, monitors: &[Watched], reader: &Reader) -> Self {
        let (_, total, sum) = web.app().own.lateness();
        Self {
            summary: Summary::of(monitors, reader.now()),
            open: monitors.iter().filter(|it| it.state.incident.is_some()).count(),
            // The frame is drawn without it while the store is away.
            dead: web.app().store.delivery_counts().await.ok().map(|counts| counts.dead),
            late_ms: if total == 0 { 0 } else { (sum * 1000.0 / total as f64).round() as u64 },
        }
    }

    /// The parts of the frame that change.
    pub(crate) fn fragments(&self) -> Vec<Fragment> {
        vec![
            Fragment::new("brand", self.brand()),
            Fragment::new("watch", self.watch()),
            Fragment::new("phone", self.phone()),
            Fragment::new("n-incidents", self.incidents_badge("n-incidents", "n")),
            Fragment::new("t-incidents", self.incidents_badge("t-incidents", "dotn")),
            Fragment::new("n-alerting", self.alerting_badge()),
            Fragment::new("foot", self.foot()),
        ]
    }

    fn brand(&self) -> Markup {
        html! { a.brand #brand href=(links::overview()) { (parts::bell("", self.summary.class())) div { "Watchbell" } } }
    }

    fn watch(&self) -> Markup {
        let class = self.summary.class();
        html! {
            a.watch.(class) #watch href={ (links::overview()) "#problems" } {
                (parts::glyph(class, 20))
                div { (self.summary.headline) small { (self.summary.short) } }
            }
        }
    }

    fn phone(&self) -> Markup {
        html! {
            a.row #phone href=(links::overview()) {
                (parts::bell("", self.summary.class()))
                span { (self.summary.headline) }
            }
        }
    }

    fn incidents_badge(&self, id: &str, class: &str) -> Markup {
        html! {
            span #(id) class=(if self.open > 0 { format!("{class} down") } else { class.to_owned() }) hidden[self.open == 0] {
                (self.open) @if class == "n" { " open" }
            }
        }
    }

    fn alerting_badge(&self) -> Markup {
        let dead = self.dead.unwrap_or(0);
        html! { span.n.down #n-alerting hidden[dead == 0] { (words::count(dead)) " given up" } }
    }

    fn foot(&self) -> Markup {
        html! {
            div #foot {
                (words::counted(self.summary.counts.all(), "monitor", "monitors"))
                @if self.summary.counts.all() > 0 { " · late by " (words::count(self.late_ms)) "\u{a0}ms" }
            }
        }
    }
}

/// A page of the console.
pub(crate) struct Page<'a> {
    /// Of the document; the number of problems is put before it, or it says the state itself.
    pub title: String,
    pub place: Place,
    /// The way here: address and word of each place above this one.
    pub above: Vec<(String, String)>,
    /// The last word of the way.
    pub name: &'a str,
    /// What the event stream is asked for; empty for the frame alone.
    pub live: String,
    pub scripts: &'a [&'a str],
    /// Class of `main`.
    pub class: &'a str,
    /// At the end of the top bar.
    pub aside: Markup,
    pub main: Markup,
}

impl<'a> Page<'a> {
    pub(crate) fn new(title: &'a str, place: Place, main: Markup) -> Self {
        Self {
            title: title.to_owned(),
            place,
            above: Vec::new(),
            name: title,
            live: String::new(),
            scripts: &[],
            class: "",
            aside: Markup::default(),
            main,
        }
    }
}

impl Page<'_> {
    /// Without a script a live page is made anew now and then. One with a form never is: it would lose what was typed.
    fn refreshes(&self) -> Option<u32> {
        (!self.live.is_empty()).then_some(30)
    }
}

/// The whole document.
#[expect(clippy::needless_pass_by_value, reason = "a page is made to be given away")]
pub(crate) fn page(web: &Web, reader: &Reader, shell: &Shell, page: Page<'_>) -> Markup {
    let title = titled(&shell.summary, &page.title);
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[reader.theme] data-now=(reader.now().as_millis()) data-zone=[reader.calendar.zone.iana_name()] {
            (head(&title, favicon(&shell.summary), page.refreshes()))
            body.app data-live=(page.live) data-rev=(web.app().live.revision()) {
                a.skip href="#main" { "Skip to content" }
                nav.side aria-label="Main" {
                    (shell.brand())
                    (shell.watch())
                    div.nav {
                        (nav_link(&page, Place::Overview, &links::overview(), "overview", "Overview", &Markup::default()))
                        (nav_link(&page, Place::Incidents, &links::incidents(), "incident", "Incidents", &shell.incidents_badge("n-incidents", "n")))
                        (nav_link(&page, Place::Heartbeats, &links::heartbeats(), "heartbeat", "Heartbeats", &Markup::default()))
                    }
                    div.nav {
                        (nav_link(&page, Place::Alerting, &links::alerting(), "alert", "Alerting", &shell.alerting_badge()))
                    }
                    div.nav {
                        (nav_link(&page, Place::Settings, &links::settings(), "settings", "Settings", &Markup::default()))
                    }
                    div.side-foot {
                        (shell.foot())
                        div.me {
                            @if let Some(person) = reader.caller.person() {
                                a.av.sm href=(links::settings()) title=(person.name) aria-label={ "Settings of " (person.name) } {
                                    (words::initials(&person.name))
                                }
                                span.clip { (person.name) }
                            }
                            (theme_button(reader))
                        }
                    }
                }
                div {
                    header.top {
                        div.crumbs {
                            @for (address, word) in &page.above {
                                a.clip href=(address) { (word) } (parts::icon("right"))
                            }
                            b.clip { (page.name) }
                        }
                        span.gap {}
                        (live_light())
                        (page.aside)
                    }
                    header.phone-bar {
                        (shell.phone())
                        span.end { (live_light()) }
                    }
                    main #main class=[(!page.class.is_empty()).then_some(page.class)] {
                        p.note.degraded #stale hidden {
                            (parts::glyph("degraded", 16))
                            span { b { "Not live." } " You see the last known state. Trying again." }
                            span.end { a.btn.sm href=(reader.here) { "Reload" } }
                        }
                        (page.main)
                    }
                }
                nav.tabs aria-label="Main, short" {
                    (tab(&page, Place::Overview, &links::overview(), "overview", "Overview", &Markup::default()))
                    (tab(&page, Place::Incidents, &links::incidents(), "incident", "Incidents", &shell.incidents_badge("t-incidents", "dotn")))
                    (tab(&page, Place::Heartbeats, &links::heartbeats(), "heartbeat", "Heartbeats", &Markup::default()))
                    (tab(&page, Place::Alerting, &links::alerting(), "alert", "Alerting", &Markup::default()))
                    (tab(&page, Place::Settings, &links::settings(), "settings", "Settings", &Markup::default()))
                }
                div.toasts #toasts {
                    @if let Some(said) = reader.said {
                        div.toast role="status" data-once="" { (parts::icon("check")) div { (said) } }
                    }
                }
                div.sr #announce aria-live="polite" {}
                (keys())
                @for script in ["clock.js", "keys.js", "live.js"].iter().chain(page.scripts) {
                    script type="module" src=(assets::address(script)) {}
                }
            }
        }
    }
}

/// The head of every document. `refresh` reloads it after so many seconds where there is no script.
pub(crate) fn head(title: &str, icon: &str, refresh: Option<u32>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover";
            meta name="robots" content="noindex";
            title { (title) }
            link #icon rel="icon" href=(assets::address(&format!("favicon-{icon}.svg"))) type="image/svg+xml";
            link rel="stylesheet" href=(assets::address("watchbell.css"));
            @if let Some(seconds) = refresh { noscript { meta http-equiv="refresh" content=(seconds); } }
        }
    }
}

/// "(2) Overview · Watchbell": a background tab answers too. A title that begins with a shape says it already.
pub(crate) fn titled(summary: &Summary, title: &str) -> String {
    match summary.problems() {
        count if count > 0 && !title.starts_with(['■', '▲', '○']) => format!("({count}) {title} · Watchbell"),
        _ => format!("{title} · Watchbell"),
    }
}

pub(crate) fn favicon(summary: &Summary) -> &'static str {
    match summary.class() {
        "down" => "down",
        "degraded" | "unknown" => "degraded",
        _ => "well",
    }
}

/// Posts the other theme; works without script.
pub(crate) fn theme_button(reader: &Reader) -> Markup {
    html! {
        form.inline method="post" action=(links::url("/theme")) {
            input type="hidden" name="next" value=(reader.here);
            button.btn.ghost.sm.icon #theme name="theme" value=(if reader.theme == Some("dark") { "light" } else { "dark" })
                title="Light or dark (t)" aria-label="Light or dark" { (parts::icon("theme")) }
        }
    }
}

fn live_light() -> Markup {
    html! { span.live hidden { i {} span { "Live" } } }
}

fn nav_link(page: &Page<'_>, place: Place, address: &str, icon: &str, word: &str, badge: &Markup) -> Markup {
    html! {
        a href=(address) aria-current=[(page.place == place).then_some("page")] title=(word) {
            (parts::icon(icon)) span { (word) } (badge)
        }
    }
}

fn tab(page: &Page<'_>, place: Place, address: &str, icon: &str, word: &str, badge: &Markup) -> Markup {
    html! { a href=(address) aria-current=[(page.place == place).then_some("page")] { (parts::icon(icon)) (word) (badge) } }
}

/// The list of keys, opened with `?`.
fn keys() -> Markup {
    let keys = [
        ("/", "filter"),
        ("j  k", "next, previous row"),
        ("Enter", "open"),
        ("c", "check now"),
        ("a", "acknowledge"),
        ("e", "edit"),
        ("n", "add monitor"),
        ("v", "cards or table"),
        ("1 … 4", "window of the chart"),
        ("g o", "overview"),
        ("g i", "incidents"),
        ("g a", "alerting"),
        ("g s", "settings"),
        ("t", "light or dark"),
        ("?", "this list"),
    ];
    html! {
        dialog.confirm #keys aria-labelledby="h-keys" {
            h2 #h-keys { "Keys" }
            dl.facts {
                @for (key, does) in keys {
                    div { dt { @for key in key.split_whitespace() { kbd { (key) } " " } } dd { (does) } }
                }
            }
            form.row method="dialog" { button.btn autofocus { "Close" } }
        }
    }
}

/// Loads what every page of the console needs, draws it, and frames it.
pub(crate) async fn framed(web: &Web, reader: &Reader, it: Page<'_>) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(web, &monitors, reader).await;
    Ok(page(web, reader, &shell, it))
}
