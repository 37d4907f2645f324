//! Reading and writing with an end: never more than so many bytes, never later than a deadline.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// How reading came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What was looked for is there.
    Enough,
    /// The limit is reached.
    Full,
    /// The other side closed.
    Closed,
}

/// Why reading or writing did not come to its end.
#[derive(Debug)]
pub enum Cut {
    Deadline,
    Broken(io::Error),
}

/// Reads into `into` until `enough` says so, it holds `limit` bytes, or the other side closes. What was read before a
/// cut stays in `into`.
pub async fn read_until<S: AsyncRead + Unpin>(
    stream: &mut S,
    into: &mut Vec<u8>,
    limit: usize,
    deadline: Instant,
    mut enough: impl FnMut(&[u8]) -> bool,
) -> Result<End, Cut> {
    let mut chunk = [0; 4096];
    loop {
        if enough(into) {
            return Ok(End::Enough);
        }
        let room = limit.saturating_sub(into.len()).min(chunk.len());
        if room == 0 {
            return Ok(End::Full);
        }
        match in_time(deadline, stream.read(&mut chunk[..room])).await? {
            0 => return Ok(End::Closed),
            read => into.extend_from_slice(&chunk[..read]),
        }
    }
}

/// Writes all of `bytes` and flushes.
pub async fn write_all<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8], deadline: Instant) -> Result<(), Cut> {
    in_time(deadline, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    })
    .await
}

/// Any I/O step, with the deadline as one more way to fail.
pub async fn in_time<T>(deadline: Instant, step: impl Future<Output = io::Result<T>>) -> Result<T, Cut> {
    match timeout_at(deadline, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Cut::Broken(error)),
        Err(_) => Err(Cut::Deadline),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stopwatch::deadline_in;
    use std::time::Duration;

    #[tokio::test]
    async fn reading_ends_at_what_is_looked_for_at_the_limit_or_at_the_end() {
        for (limit, needle, end) in [(100, "lo", End::Enough), (3, "lo", End::Full), (100, "xyz", End::Closed)] {
            let mut read = Vec::new();
            let found = |seen: &[u8]| String::from_utf8_lossy(seen).contains(needle);
            let outcome =
                read_until(&mut &b"hello"[..], &mut read, limit, deadline_in(Duration::from_secs(1)), found).await;
            assert_eq!(outcome.unwrap(), end);
            assert!(read.len() <= limit);
        }
    }

    #[tokio::test]
    async fn a_silent_peer_is_cut_at_the_deadline() {
        let (_silent, mut ours) = tokio::io::duplex(16);
        let mut read = Vec::new();
        let outcome = read_until(&mut ours, &mut read, 10, deadline_in(Duration::from_millis(20)), |_| false).await;
        assert!(matches!(outcome, Err(Cut::Deadline)));
    }
}
