//! Who is told, how, and whether it arrived: what was given up first, then the channels, then what was sent lately.

use axum::extract::State;
use maud::{Markup, html};
use watchbell_core::Timestamp;
use watchbell_store::{Delivery, DeliveryFilter, DeliveryState};

use super::deliveries;
use crate::live::{ChannelView, Origin};
use crate::web::error::Failure;
use crate::web::layout::{self, Page, Place, Shell};
use crate::web::reader::Reader;
use crate::web::stream::{Fragment, View};
use crate::web::{Web, links, parts, words};

/// Deliveries shown beside the channels.
const LATELY: usize = 10;

/// `GET /alerting`
pub(crate) async fn page(State(web): State<Web>, reader: Reader) -> Result<Markup, Failure> {
    let monitors = web.app().live.monitors();
    let shell = Shell::load(&web, &monitors, &reader).await;
    let main = html! {
        div.headline.tight.plain {
            div { h1 { "Alerting" } p { "Who is told, how, and whether it arrived." } }
            @if reader.is_editor() {
                div.end.row { a.btn.primary href=(links::new_channel()) { (parts::icon("plus")) "Add channel" } }
            }
        }
        @for fragment in fragments(&web, &reader, &shell).await? { (maud::PreEscaped(fragment.html)) }
    };
    let page = Page { live: "of=alerting".into(), ..Page::new("Alerting", Place::Alerting, main) };
    Ok(layout::page(&web, &reader, &shell, page))
}

pub(crate) async fn view(web: &Web, reader: &Reader, shell: &Shell) -> Result<View, Failure> {
    Ok(View { title: "Alerting".into(), fragments: fragments(web, reader, shell).await? })
}

async fn fragments(web: &Web, reader: &Reader, shell: &Shell) -> Result<Vec<Fragment>, Failure> {
    let mut channels = web.app().live.channels();
    for channel in channels.iter_mut().filter(|it| it.last.is_none()) {
        channel.last = before_the_start(web, channel).await;
    }
    let lately = web.app().store.deliveries(&DeliveryFilter::default(), watchbell_store::Page::first(LATELY)).await?;
    let fallback = web.app().settings.load().fallback.clone();
    let monitors = web.app().live.monitors();
    let used = |channel: &ChannelView| monitors.iter().filter(|it| it.fixed.notify.contains(&channel.slug)).count();
    Ok(vec![
        Fragment::new("given-up", given_up(shell)),
        Fragment::new("tabs", tabs(channels.len(), shell, true)),
        Fragment::new(
            "channels",
            html! {
                div #channels {
                    @if channels.is_empty() { section.panel { (empty(reader)) } }
                    @else {
                        div.tbl-wrap {
                            table.tbl.duo {
                                caption.sr { "Channels" }
                                colgroup {
                                    col.c-state; col.a-name; col.hide-s; col.a-note.hide-s; col.c-up.hide-m; col.a-act;
                                }
                                thead { tr {
                                    th scope="col" { span.w { "State" } }
                                    th scope="col" { "Channel" }
                                    th.hide-s scope="col" { "By" }
                                    th.hide-s scope="col" { "Lately" }
                                    th.r.hide-m scope="col" { "Monitors" }
                                    th scope="col" { span.sr { "Actions" } }
                                } }
                                tbody { @for channel in &channels {
                                    (row(channel, used(channel), fallback.as_ref() == Some(&channel.slug), reader))
                                } }
                            }
                        }
                    }
                }
            },
        ),
        Fragment::new(
            "lately",
            html! {
                section.panel.mt #lately aria-labelledby="h-lately" {
                    div.panel-h {
                        h2 #h-lately { "Deliveries" }
                        span.sub { "newest first" }
                        span.end { a.btn.ghost.sm href=(links::deliveries()) { "All" } }
                    }
                    @if lately.is_empty() {
                        div.panel-b { p.i3 { "Nothing was sent yet." } }
                    } @else {
                        (table(&lately, reader))
                    }
                }
            },
        ),
    ])
}

/// What the channel's last delivery gave, from before the last start.
pub(super) async fn before_the_start(web: &Web, channel: &ChannelView) -> Option<(Timestamp, Result<(), String>)> {
    let filter = DeliveryFilter { channel: Some(channel.slug.clone()), ..DeliveryFilter::default() };
    let last = web.app().store.deliveries(&filter, watchbell_store::Page::first(5)).await.ok()?;
    last.into_iter().find_map(|it| match it.state {
        DeliveryState::Done => Some((it.done_at.unwrap_or(it.created_at), Ok(()))),
        DeliveryState::Dead => Some((it.done_at.unwrap_or(it.created_at), Err(it.last_error.unwrap_or_default()))),
        DeliveryState::Pending | DeliveryState::Claimed | DeliveryState::Cancelled => None,
    })
}

fn given_up(shell: &Shell) -> Markup {
    html! {
        div #given-up {
            @if let Some(dead) = shell.dead.filter(|dead| *dead > 0) {
                p.note.down {
                    (parts::glyph("down", 16))
                    span {
                        b { (words::counted(dead as usize, "message was", "messages were")) " given up." }
                        " Whoever should have heard did not, unless another channel told them."
                    }
                    span.end { a.btn.sm href={ (links::deliveries()) "?show=dead" } { "Show" } }
                }
            }
        }
    }
}

/// Channels and deliveries, the two halves of alerting.
pub(super) fn tabs(channels: usize, shell: &Shell, on_channels: bool) -> Markup {
    html! {
        nav.tabline #tabs aria-label="Alerting" {
            a href=(links::alerting()) aria-current=[on_channels.then_some("page")] { "Channels " span { (channels) } }
            a href=(links::deliveries()) aria-current=[(!on_channels).then_some("page")] {
                "Deliveries " @if let Some(dead) = shell.dead.filter(|dead| *dead > 0) { span.down-t { (words::count(dead)) " given up" } }
            }
        }
    }
}

fn empty(reader: &Reader) -> Markup {
    let action = html! { @if reader.is_editor() { a.btn.primary href=(links::new_channel()) { (parts::icon("plus")) "Add channel" } } };
    parts::empty(
        "Nobody would hear the bell",
        "A channel is where messages go: a mailbox, a chat, an address of yours.",
        &action,
    )
}

fn row(channel: &ChannelView, monitors: usize, is_fallback: bool, reader: &Reader) -> Markup {
    let (class, word) = state(channel);
    let kind = title(channel.channel.kind());
    html! {
        tr {
            td { (parts::state(class, word)) }
            td {
                @if reader.is_editor() {
                    a.nm.quiet href=(links::channel(&channel.slug)) { (channel.slug) }
                } @else {
                    span.nm { (channel.slug) }
                }
                @if is_fallback { " " span.tag { "fallback" } }
                small.sub-s.{ (class) "-t" } { (kind) @if class == "down" { " · " (word) } }
            }
            td.hide-s {
                (kind) " "
                span.i3 { (channel.channel.target()) }
                @if channel.origin == Origin::File { " " span.tag { "from file" } }
            }
            td.hide-s.i2 {
                @match &channel.last {
                    None => "nothing sent yet",
                    Some((at, Ok(()))) => { "arrived " (reader.calendar.time(*at)) },
                    Some((at, Err(why))) => span title=(why) { (reader.calendar.time(*at)) ": " (why) },
                }
            }
            td.r.num.hide-m { (monitors) }
            td.r { @if reader.is_editor() {
                form.inline method="post" action=(links::channel_action(&channel.slug, "test")) data-busy="Sending" {
                    button.btn.sm { (parts::icon("send")) span.sr-s { "Send test" } }
                }
            } }
        }
    }
}

pub(super) fn state(channel: &ChannelView) -> (&'static str, &'static str) {
    match &channel.last {
        None => ("new", "New"),
        Some((_, Ok(()))) => ("up", "Works"),
        Some((_, Err(_))) => ("down", "Failing"),
    }
}

/// A kind's name as its service writes it.
pub(super) fn title(kind: &str) -> String {
    let entry = watchbell_notify::Channel::ALL.iter().find(|entry| entry.name == kind);
    entry
        .and_then(|entry| watchbell_core::catalog::schema(entry)["title"].as_str().map(str::to_owned))
        .unwrap_or_else(|| kind.to_owned())
}

/// Deliveries, newest first.
pub(super) fn table(all: &[Delivery], reader: &Reader) -> Markup {
    html! {
        table.tbl.dense.duo {
            caption.sr { "Deliveries, newest first" }
            colgroup { col.a-st; col; col.a-to.hide-s; col.hide-s; col.c-time; col.a-act.hide-s; }
            thead { tr {
                th scope="col" { span.w { "State" } }
                th scope="col" { "About" }
                th.hide-s scope="col" { "To" }
                th.hide-s scope="col" { "Tries and answer" }
                th.r scope="col" { "Time" }
                th.hide-s scope="col" { span.sr { "Actions" } }
            } }
            tbody { @for it in all {
                @let (class, word) = deliveries::state(it.state);
                tr #{ "d-" (it.id) } {
                    td { (parts::state(class, word)) }
                    td {
                        (deliveries::about(it))
                        small.sub-s.{ (class) "-t" } { (word) " · " (it.channel) }
                    }
                    td.i2.hide-s { (it.channel) }
                    td.i2.hide-s title=[it.last_error.as_deref()] { (deliveries::tries(it, reader)) }
                    td.r.num.i2 { (reader.calendar.time(it.created_at)) }
                    td.r.hide-s { @if reader.is_editor() && it.state == DeliveryState::Dead {
                        form.inline method="post" action=(links::delivery_retry(it.id)) data-post="" {
                            button.btn.sm { (parts::icon("again")) "Send again" }
                        }
                    } }
                }
            } }
        }
    }
}
