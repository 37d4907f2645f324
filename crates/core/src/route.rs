//! Who hears a notice, and why. Pure, like deciding.

use crate::Slug;
use crate::decide::{Notice, NoticeKind};

/// Where a monitor's notices go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Channels that hear everything.
    pub notify: Vec<Slug>,
}

/// One channel that hears a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub channel: Slug,
    /// A phrase for the message: why this channel hears it.
    pub because: &'static str,
}

/// Who hears `notice`. A recovery goes to whoever heard the failure, whatever the routes say now:
/// nobody is left with an alarm that ended.
pub fn route(notice: &Notice, routes: &Routes) -> Vec<Recipient> {
    match notice.kind {
        NoticeKind::Up | NoticeKind::Closed => recipients(&notice.told, "it was told of the failure"),
        NoticeKind::Down | NoticeKind::Degraded | NoticeKind::Reminder | NoticeKind::Expiry => {
            recipients(&routes.notify, "the monitor names it under notify")
        }
    }
}

fn recipients(channels: &[Slug], because: &'static str) -> Vec<Recipient> {
    let mut seen: Vec<&Slug> = Vec::new();
    for channel in channels {
        if !seen.contains(&channel) {
            seen.push(channel);
        }
    }
    seen.into_iter().map(|channel| Recipient { channel: channel.clone(), because }).collect()
}
