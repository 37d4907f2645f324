//! A notice with everything people may ask about it, frozen for the channels.

use std::sync::Arc;
use std::time::Duration;

use url::Url;
use watchbell_core::decide::{Notice, NoticeKind};
use watchbell_core::route::Recipient;
use watchbell_core::{IncidentRef, Message, MonitorRef, Timestamp};

use crate::live::{Fixed, Seen};

/// So many rows of what was seen go into a message.
const ROWS: usize = 6;

/// The message that one recipient hears of one notice.
pub(super) fn about(
    fixed: &Fixed,
    notice: &Notice,
    recipient: &Recipient,
    seen: Option<&Arc<Seen>>,
    base_url: &Url,
    cluster: &str,
) -> Message {
    let tells_of_a_look =
        matches!(notice.kind, NoticeKind::Down | NoticeKind::Degraded | NoticeKind::Up | NoticeKind::Reminder);
    let rows = seen.filter(|_| tells_of_a_look).map(|seen| rows(seen)).unwrap_or_default();
    Message {
        event: notice.kind,
        monitor: reference(fixed),
        incident: notice.incident.map(|(seq, since)| IncidentRef { id: format!("{}-{seq}", fixed.id), since }),
        reason: notice.reason.text.clone(),
        code: notice.reason.code.clone().into_owned(),
        since: notice.since,
        at: notice.at,
        began: notice.incident.map(|(_, since)| since),
        reminder: notice.reminder,
        seen: rows,
        because: format!("{}: {}", recipient.channel, recipient.because),
        link: link(fixed, base_url),
        key: format!("{cluster}/{}/{}/{}/{}", fixed.id, notice.seq, recipient.channel, notice.tag),
        test: false,
    }
}

/// The monitor as messages name it.
pub(super) fn reference(fixed: &Fixed) -> MonitorRef {
    let target = fixed.spec.target();
    MonitorRef {
        slug: fixed.slug.clone(),
        name: fixed.title().to_owned(),
        group: fixed.spec.group.clone(),
        tags: fixed.spec.tags.clone(),
        kind: fixed.spec.kind().to_owned(),
        url: (!target.is_empty()).then_some(target),
    }
}

/// A message that a person asked for, to see whether a channel works.
pub(crate) fn test_message(channel: &watchbell_core::Slug, now: Timestamp, cluster: &str) -> Message {
    let nonce = crate::random::letters(12);
    Message {
        event: NoticeKind::Down,
        monitor: MonitorRef {
            slug: "test".parse().expect("a slug"),
            name: "Test monitor".into(),
            group: None,
            tags: Vec::new(),
            kind: "http".into(),
            url: Some("https://shop.example.org/health".into()),
        },
        incident: None,
        reason: "This is a test: nothing is wrong".into(),
        code: "test".into(),
        since: now,
        at: now,
        began: None,
        reminder: None,
        seen: Vec::new(),
        because: format!("{channel}: somebody pressed Send test"),
        link: None,
        key: format!("{cluster}/test/{channel}/{nonce}"),
        test: true,
    }
}

fn link(fixed: &Fixed, base_url: &Url) -> Option<String> {
    let mut url = base_url.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(["monitors", fixed.slug.as_str()]);
    Some(url.into())
}

fn rows(seen: &Seen) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> =
        seen.evidence.rows.iter().take(ROWS).map(|row| (row.name.clone().into_owned(), row.value.clone())).collect();
    rows.push(("Took".into(), short(seen.took)));
    rows
}

/// `26 ms`, `2.4 s`.
pub(super) fn short(length: Duration) -> String {
    if length < Duration::from_secs(1) {
        format!("{} ms", length.as_millis())
    } else {
        format!("{:.1} s", length.as_secs_f64())
    }
}
