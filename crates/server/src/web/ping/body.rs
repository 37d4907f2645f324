//! What comes along with a ping: any bytes, of any length. The beginning and the end are kept, the middle is counted.

use std::borrow::Cow;

use axum::body::Body;
use futures_util::StreamExt as _;
use http_body::Body as _;

/// More than this is not read; the call counts all the same.
const LONGEST: u64 = 16 * 1024 * 1024;
/// Of the last line, in characters.
const LONGEST_LINE: usize = 200;

/// A body within its limit, or its two ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Bytes that were sent, as far as they were read.
    pub size: u64,
    pub head: Vec<u8>,
    /// Empty unless something was left out.
    pub tail: Vec<u8>,
}

impl Kept {
    /// Reads to the end; an error means that the sender broke off.
    pub(super) async fn read(body: Body, limit: usize) -> Result<Self, axum::Error> {
        let mut kept = Self::default();
        if body.size_hint().exact() == Some(0) {
            return Ok(kept);
        }
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            kept.take(&chunk?, limit);
            if kept.size >= LONGEST {
                break;
            }
        }
        kept.cut(limit);
        Ok(kept)
    }

    fn take(&mut self, chunk: &[u8], limit: usize) {
        self.size += chunk.len() as u64;
        let (fits, rest) = chunk.split_at(chunk.len().min(limit - self.head.len()));
        self.head.extend_from_slice(fits);
        if rest.len() > limit {
            self.tail.clear();
        }
        self.tail.extend_from_slice(&rest[rest.len().saturating_sub(limit)..]);
        if self.tail.len() > 2 * limit {
            self.tail.drain(..self.tail.len() - limit);
        }
    }

    /// Half of the limit for the beginning, half for the end.
    fn cut(&mut self, limit: usize) {
        if self.tail.is_empty() {
            return;
        }
        let first = limit / 2;
        // The end may reach back into what was taken for the beginning.
        let mut end = self.head.split_off(first);
        end.append(&mut self.tail);
        end.drain(..end.len().saturating_sub(limit - first));
        self.tail = end;
    }

    /// Where words are looked for: all that is kept.
    pub(super) fn searchable(&self) -> Cow<'_, [u8]> {
        if self.tail.is_empty() {
            Cow::Borrowed(&self.head)
        } else {
            Cow::Owned([self.head.as_slice(), &[0], &self.tail].concat())
        }
    }

    /// The last line that says anything, fit to print.
    pub(super) fn last_line(&self) -> String {
        let end = if self.tail.is_empty() { &self.head } else { &self.tail };
        let line = end.rsplit(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
        line.map_or_else(String::new, |line| {
            let text = String::from_utf8_lossy(line.trim_ascii());
            watchbell_core::finding::clean(&text, LONGEST_LINE).trim().to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(chunks: &[&[u8]], limit: usize) -> Kept {
        let mut kept = Kept::default();
        for chunk in chunks {
            kept.take(chunk, limit);
        }
        kept.cut(limit);
        kept
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let all = kept(&[b"abc", b"", b"defg"], 7);
        assert_eq!((all.size, &*all.head, &*all.tail), (7, b"abcdefg".as_slice(), b"".as_slice()));
    }

    #[test]
    fn what_does_not_fit_keeps_its_beginning_and_its_end_however_it_is_sent() {
        let text: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for size in [1, 2, 7, 99, 100, 101, 4999, 5000] {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            let both = kept(&chunks, 100);
            assert_eq!(both.size, 5000);
            assert_eq!(both.head, text[..50], "chunks of {size}");
            assert_eq!(both.tail, text[4950..], "chunks of {size}");
        }
        let just = kept(&[&text[..101]], 100);
        assert_eq!((just.head.len(), just.tail.len(), just.size), (50, 50, 101));
        assert_eq!(just.tail, text[51..101]);
        assert_eq!(kept(&[b"anything"], 0), Kept { size: 8, ..Kept::default() });
    }

    #[test]
    fn the_last_line_is_the_last_that_says_anything() {
        assert_eq!(kept(&[b"one\ntwo \x07\r\n\n  \n"], 100).last_line(), "two");
        assert_eq!(kept(&[b"\xff\xfe done"], 100).last_line(), "\u{fffd}\u{fffd} done");
        assert_eq!(kept(&[], 100).last_line(), "");
        let long = [b"first\n".as_slice(), &[b'x'; 500], b"\nthe end"].concat();
        assert_eq!(kept(&[&long], 50).last_line(), "the end");
    }
}
