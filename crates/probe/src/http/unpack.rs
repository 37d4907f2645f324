//! Unpacks `gzip`, `deflate` and `br` one chunk at a time and stops at the limit: a small answer that unpacks to a
//! large one costs neither memory nor time.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// More is an attack, or nothing anybody wants to look into.
const MOST_RATIO: u64 = 100;

/// Small answers may pack as well as they like.
const RATIO_BEGINS_AT: u64 = 64 * 1024;

/// What `Content-Encoding` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Deflate,
    Brotli,
    /// Several layers, or one that was not asked for.
    Other,
}

impl Packing {
    pub(crate) fn from_header(value: Option<&[u8]>) -> Self {
        match value.map(<[u8]>::trim_ascii) {
            None | Some(b"") => Self::Plain,
            Some(name) if name.eq_ignore_ascii_case(b"identity") => Self::Plain,
            Some(name) if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => Self::Gzip,
            Some(name) if name.eq_ignore_ascii_case(b"deflate") => Self::Deflate,
            Some(name) if name.eq_ignore_ascii_case(b"br") => Self::Brotli,
            Some(_) => Self::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Plain | Self::Other => "plain",
        }
    }
}

/// Why unpacking ended before the answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The limit is reached; what was unpacked until then is kept.
    Full,
    /// It unpacks to more than [`MOST_RATIO`] times its size.
    Bomb,
    /// It is not what its `Content-Encoding` says, or it ends too early.
    Broken(&'static str),
}

/// Takes the chunks of an answer, keeps what they unpack to.
pub(crate) struct Unpacker {
    packing: Packing,
    inner: Inner,
}

enum Inner {
    Plain(Sink),
    /// Nothing came yet: `deflate` shows by its first byte whether it is wrapped in zlib, as it should be.
    Undecided(Sink),
    Gzip(MultiGzDecoder<Sink>),
    Zlib(ZlibDecoder<Sink>),
    Deflate(DeflateDecoder<Sink>),
    Brotli(Box<DecompressorWriter<Sink>>),
    /// A decoder that failed is not asked again.
    Stopped(Sink),
}

impl Unpacker {
    pub(crate) fn new(packing: Packing, limit: usize) -> Self {
        let sink = Sink { out: Vec::new(), limit, packed: 0, stop: None };
        let inner = match packing {
            Packing::Plain | Packing::Other => Inner::Plain(sink),
            Packing::Gzip => Inner::Gzip(MultiGzDecoder::new(sink)),
            Packing::Deflate => Inner::Undecided(sink),
            Packing::Brotli => Inner::Brotli(Box::new(DecompressorWriter::new(sink, 4096))),
        };
        Self { packing, inner }
    }

    /// Unpacks one chunk. After a [`Stop`], nothing more is taken.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Result<(), Stop> {
        if chunk.is_empty() {
            return Ok(());
        }
        if let Inner::Undecided(sink) = &mut self.inner {
            let sink = std::mem::take(sink);
            // RFC 1950, section 2.2: the low four bits name the method, 8 is deflate.
            self.inner = if chunk[0] & 0x0f == 8 {
                Inner::Zlib(ZlibDecoder::new(sink))
            } else {
                Inner::Deflate(DeflateDecoder::new(sink))
            };
        }
        let sink = self.sink();
        if sink.stop.is_some() || matches!(self.inner, Inner::Stopped(_)) {
            return Err(Stop::Full);
        }
        self.sink().packed += chunk.len() as u64;
        let written = match &mut self.inner {
            Inner::Plain(it) => it.write_all(chunk),
            Inner::Gzip(it) => it.write_all(chunk),
            Inner::Zlib(it) => it.write_all(chunk),
            Inner::Deflate(it) => it.write_all(chunk),
            Inner::Brotli(it) => it.write_all(chunk),
            Inner::Undecided(_) | Inner::Stopped(_) => Ok(()),
        };
        self.told(&written)
    }

    /// The answer is complete: nothing may be missing.
    pub(crate) fn finish(&mut self) -> Result<(), Stop> {
        let finished = match &mut self.inner {
            Inner::Gzip(it) => it.try_finish(),
            Inner::Zlib(it) => it.try_finish(),
            Inner::Deflate(it) => it.try_finish(),
            Inner::Brotli(it) => it.close(),
            Inner::Plain(_) | Inner::Undecided(_) | Inner::Stopped(_) => Ok(()),
        };
        self.told(&finished)
    }

    /// What was unpacked so far.
    pub(crate) fn out(&self) -> &[u8] {
        &match &self.inner {
            Inner::Plain(it) | Inner::Undecided(it) | Inner::Stopped(it) => it,
            Inner::Gzip(it) => it.get_ref(),
            Inner::Zlib(it) => it.get_ref(),
            Inner::Deflate(it) => it.get_ref(),
            Inner::Brotli(it) => it.get_ref(),
        }
        .out
    }

    /// Takes out what was unpacked.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sink().out)
    }

    fn sink(&mut self) -> &mut Sink {
        match &mut self.inner {
            Inner::Plain(it) | Inner::Undecided(it) | Inner::Stopped(it) => it,
            Inner::Gzip(it) => it.get_mut(),
            Inner::Zlib(it) => it.get_mut(),
            Inner::Deflate(it) => it.get_mut(),
            Inner::Brotli(it) => it.get_mut(),
        }
    }

    fn told(&mut self, outcome: &io::Result<()>) -> Result<(), Stop> {
        if outcome.is_ok() && self.sink().stop.is_none() {
            return Ok(());
        }
        let sink = std::mem::take(self.sink());
        let stop = sink.stop.unwrap_or(Stop::Broken(self.packing.name()));
        // The decoder is dropped with an empty sink: some try to finish when they are dropped.
        self.inner = Inner::Stopped(sink);
        Err(stop)
    }
}

/// Where a decoder writes to: as much as fits, and no more than is decent.
#[derive(Default)]
struct Sink {
    out: Vec<u8>,
    limit: usize,
    packed: u64,
    stop: Option<Stop>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_some() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fits = bytes.len().min(self.limit - self.out.len());
        self.out.extend_from_slice(&bytes[..fits]);
        let unpacked = self.out.len() as u64;
        if unpacked > RATIO_BEGINS_AT && unpacked > self.packed.saturating_mul(MOST_RATIO) {
            self.stop = Some(Stop::Bomb);
        } else if fits < bytes.len() {
            self.stop = Some(Stop::Full);
        }
        if self.stop.is_some() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"All is well. All is well. All is well.";

    /// The plainest stream there is: one stored block and an empty last one (RFC 7932, section 9.2).
    fn brotli(bytes: &[u8]) -> Vec<u8> {
        let header = (bytes.len() as u32 - 1) << 4 | 1 << 20;
        [&header.to_le_bytes()[..3], bytes, &[0b11]].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packing: Packing, packed: &[u8], limit: usize, chunk: usize) -> (Vec<u8>, Result<(), Stop>) {
        let mut unpacker = Unpacker::new(packing, limit);
        for part in packed.chunks(chunk) {
            if let Err(stop) = unpacker.feed(part) {
                return (unpacker.take(), Err(stop));
            }
        }
        let end = unpacker.finish();
        (unpacker.take(), end)
    }

    #[test]
    fn every_packing_unpacks_byte_by_byte() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(TEXT).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::best());
        raw.write_all(TEXT).unwrap();
        for (packing, packed) in [
            (Packing::Plain, TEXT.to_vec()),
            (Packing::Gzip, gzip(TEXT)),
            (Packing::Brotli, brotli(TEXT)),
            (Packing::Deflate, zlib.finish().unwrap()),
            (Packing::Deflate, raw.finish().unwrap()),
        ] {
            for chunk in [1, 7, 1000] {
                assert_eq!(unpack(packing, &packed, 1000, chunk), (TEXT.to_vec(), Ok(())), "{packing:?} by {chunk}");
            }
        }
    }

    #[test]
    fn the_limit_holds_to_the_byte() {
        assert_eq!(unpack(Packing::Gzip, &gzip(TEXT), 5, 1000), (TEXT[..5].to_vec(), Err(Stop::Full)));
        assert_eq!(unpack(Packing::Plain, TEXT, 5, 2), (TEXT[..5].to_vec(), Err(Stop::Full)));
        assert_eq!(unpack(Packing::Plain, TEXT, TEXT.len(), 2), (TEXT.to_vec(), Ok(())));
    }

    #[test]
    fn a_bomb_is_put_away_early() {
        let bomb = gzip(&vec![0; 50_000_000]);
        let (out, end) = unpack(Packing::Gzip, &bomb, 16 << 20, 1000);
        assert_eq!(end, Err(Stop::Bomb));
        assert!(out.len() < 1 << 20, "{} bytes were unpacked", out.len());
    }

    #[test]
    fn what_is_cut_or_is_no_packing_is_broken() {
        let packed = gzip(TEXT);
        assert_eq!(unpack(Packing::Gzip, &packed[..packed.len() - 9], 1000, 3).1, Err(Stop::Broken("gzip")));
        assert_eq!(unpack(Packing::Gzip, b"this is no gzip at all", 1000, 3).1, Err(Stop::Broken("gzip")));
        assert_eq!(unpack(Packing::Brotli, &brotli(TEXT)[..9], 1000, 3).1, Err(Stop::Broken("br")));
    }
}
