//! Reads the body of an answer: as little of it as is needed, never more than is allowed, whatever the server sends.

use bytes::Bytes;
use hyper::body::Incoming;

use super::unpack::{Packing, Stop, Unpacker};
use super::wire::Wire;

/// How much of a body is shown as evidence.
pub(crate) const SHOWN: usize = 2048;

/// Reads one body.
pub(crate) struct Reader {
    keep: Keep,
    /// Bytes as they came over the wire.
    received: u64,
    limit: u64,
}

enum Keep {
    /// Nobody asks for the body: its bytes are counted, and the first piece is held for the case that it breaks off.
    First(Bytes),
    Unpacked(Box<Unpacker>),
}

/// How reading came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    /// There is more than was allowed; the rest was not read.
    Cut,
}

/// Why the end was not reached.
#[derive(Debug)]
pub(crate) enum Unread {
    Wire(hyper::Error),
    Bomb,
    BadPacking(&'static str),
}

impl Reader {
    /// Counts the bytes, up to `limit` of them.
    pub(crate) fn count(limit: u32) -> Self {
        Self { keep: Keep::First(Bytes::new()), received: 0, limit: limit.into() }
    }

    /// Unpacks and keeps the body, up to `limit` bytes of it.
    pub(crate) fn keep(packing: Packing, limit: u32) -> Self {
        let unpacker = Unpacker::new(packing, limit as usize);
        Self { keep: Keep::Unpacked(Box::new(unpacker)), received: 0, limit: limit.into() }
    }

    /// Reads to the end or to the limit. What was read stays here if the future is dropped.
    pub(crate) async fn read(&mut self, wire: &mut Wire, body: &mut Incoming) -> Result<End, Unread> {
        while let Some(piece) = wire.next(body).await {
            let piece = piece.map_err(Unread::Wire)?;
            self.received += piece.len() as u64;
            match &mut self.keep {
                Keep::First(first) => {
                    if first.is_empty() {
                        *first = piece;
                    }
                    if self.received > self.limit {
                        return Ok(End::Cut);
                    }
                }
                Keep::Unpacked(unpacker) => match unpacker.feed(&piece) {
                    Ok(()) => {}
                    Err(Stop::Full) => return Ok(End::Cut),
                    Err(Stop::Bomb) => return Err(Unread::Bomb),
                    Err(Stop::Broken(packing)) => return Err(Unread::BadPacking(packing)),
                },
            }
        }
        match &mut self.keep {
            Keep::First(_) => Ok(End::Whole),
            Keep::Unpacked(unpacker) => match unpacker.finish() {
                Ok(()) => Ok(End::Whole),
                Err(Stop::Full) => Ok(End::Cut),
                Err(Stop::Bomb) => Err(Unread::Bomb),
                Err(Stop::Broken(packing)) => Err(Unread::BadPacking(packing)),
            },
        }
    }

    /// Bytes as they came over the wire.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// The first bytes, for evidence.
    pub(crate) fn start(&self) -> &[u8] {
        let start = match &self.keep {
            Keep::First(first) => first,
            Keep::Unpacked(unpacker) => unpacker.out(),
        };
        &start[..start.len().min(SHOWN)]
    }

    /// All that was kept.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        match &mut self.keep {
            Keep::First(_) => Vec::new(),
            Keep::Unpacked(unpacker) => unpacker.take(),
        }
    }
}
