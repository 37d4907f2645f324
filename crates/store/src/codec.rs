//! Results as bytes. One body holds any number of results: those of one commit in the log, those of one monitor and
//! hour in a block.
//!
//! ```text
//! body    version(1) reasons series…            every number is a varint: 7 bits a byte, low bits first
//! reasons count, then (length code, length text) each: written once, referred to by number
//! series  count, then each:
//!         monitor   the distance from the series before
//!         length    of the rest in bytes, so that a reader can skip what it is not asked for
//!         entries   until the length is used up
//! entry   at        milliseconds; the first one absolute, the second's distance, then by how much the distance changed (zigzag)
//!         what      3 bits sight, 5 bits which phases follow
//!         reason    its number, unless the sight is ok
//!         phases    those that happened, in microseconds
//!         took      microseconds, as the distance from the sum of the phases (zigzag)
//! ```

use std::borrow::Cow;
use std::collections::HashMap;

use watchbell_core::decide::Sight;
use watchbell_core::{Phases, Reason, Timestamp};

use crate::StoreError;
use crate::results::StoredResult;

const VERSION: u8 = 1;

/// The results as one body; within a monitor in the order of their moments.
pub(crate) fn encode(results: &[StoredResult]) -> Vec<u8> {
    let mut order: Vec<&StoredResult> = results.iter().collect();
    order.sort_by_key(|result| (result.monitor, result.at));

    let mut reasons: Vec<&Reason> = Vec::new();
    let mut numbers: HashMap<(&str, &str), u64> = HashMap::new();
    for reason in order.iter().filter_map(|result| reason_of(&result.sight)) {
        numbers.entry(name_of(reason)).or_insert_with(|| {
            reasons.push(reason);
            reasons.len() as u64 - 1
        });
    }

    let mut out = vec![VERSION];
    put(&mut out, reasons.len() as u64);
    for reason in &reasons {
        put_text(&mut out, &reason.code);
        put_text(&mut out, &reason.text);
    }
    let series: Vec<&[&StoredResult]> = order.chunk_by(|a, b| a.monitor == b.monitor).collect();
    put(&mut out, series.len() as u64);
    let mut last_monitor = 0;
    let mut entries = Vec::new();
    for results in series {
        entries.clear();
        put_entries(&mut entries, results, &numbers);
        let monitor = results.first().map_or(0, |result| result.monitor);
        put(&mut out, zigzag(monitor.wrapping_sub(last_monitor)));
        last_monitor = monitor;
        put(&mut out, entries.len() as u64);
        out.extend_from_slice(&entries);
    }
    out
}

/// Calls `each` with every result of the body, or with those of one monitor, in the order in which they are stored.
pub(crate) fn decode(body: &[u8], only: Option<i64>, mut each: impl FnMut(StoredResult)) -> Result<(), StoreError> {
    let mut reader = Reader { left: body };
    read(&mut reader, only, &mut each)
        .ok_or_else(|| StoreError::Unreadable(format!("stored results ({} bytes) cannot be read", body.len())))
}

fn reason_of(sight: &Sight) -> Option<&Reason> {
    match sight {
        Sight::Ok => None,
        Sight::Slow(reason) | Sight::Fail(reason) | Sight::Local(reason) | Sight::Missed(reason) => Some(reason),
    }
}

fn name_of(reason: &Reason) -> (&str, &str) {
    (&reason.code, &reason.text)
}

const fn number_of(sight: &Sight) -> u8 {
    match sight {
        Sight::Ok => 0,
        Sight::Slow(_) => 1,
        Sight::Fail(_) => 2,
        Sight::Local(_) => 3,
        Sight::Missed(_) => 4,
    }
}

const fn phases_of(phases: &Phases) -> [Option<u32>; 5] {
    [phases.dns_us, phases.connect_us, phases.tls_us, phases.wait_us, phases.transfer_us]
}

fn put_entries(out: &mut Vec<u8>, results: &[&StoredResult], numbers: &HashMap<(&str, &str), u64>) {
    let (mut last_at, mut last_step) = (0_i64, 0_i64);
    for result in results {
        let at = result.at.as_millis();
        let step = at.wrapping_sub(last_at);
        put(out, zigzag(step.wrapping_sub(last_step)));
        // The first step leads from 1970: the second one is not like it.
        last_step = if last_at == 0 { 0 } else { step };
        last_at = at;

        let phases = phases_of(&result.phases);
        let mask = phases.iter().enumerate().fold(0_u8, |mask, (bit, phase)| mask | (u8::from(phase.is_some()) << bit));
        out.push(number_of(&result.sight) | (mask << 3));
        if let Some(reason) = reason_of(&result.sight) {
            put(out, numbers.get(&name_of(reason)).copied().unwrap_or(0));
        }
        let mut sum = 0_i64;
        for micros in phases.into_iter().flatten() {
            put(out, micros.into());
            sum += i64::from(micros);
        }
        put(out, zigzag(i64::from(result.took_us) - sum));
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Small distances in either direction become small numbers.
const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

const fn unzigzag(number: u64) -> i64 {
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

/// `None`: these are not bytes that [`encode`] made.
fn read(reader: &mut Reader<'_>, only: Option<i64>, each: &mut impl FnMut(StoredResult)) -> Option<()> {
    if reader.byte()? != VERSION {
        return None;
    }
    let mut reasons = Vec::new();
    for _ in 0..reader.number()? {
        reasons.push(Reason { code: Cow::Owned(reader.text()?), text: reader.text()? });
    }
    let series = reader.number()?;
    let mut monitor = 0_i64;
    for _ in 0..series {
        monitor = monitor.wrapping_add(unzigzag(reader.number()?));
        let length = usize::try_from(reader.number()?).ok()?;
        let entries = reader.take(length)?;
        if only.is_none_or(|wanted| wanted == monitor) {
            read_entries(&mut Reader { left: entries }, monitor, &reasons, each)?;
        }
    }
    reader.left.is_empty().then_some(())
}

fn read_entries(
    reader: &mut Reader<'_>,
    monitor: i64,
    reasons: &[Reason],
    each: &mut impl FnMut(StoredResult),
) -> Option<()> {
    let (mut at, mut last_step) = (0_i64, 0_i64);
    while !reader.left.is_empty() {
        let step = last_step.wrapping_add(unzigzag(reader.number()?));
        last_step = if at == 0 { 0 } else { step };
        at = at.wrapping_add(step);

        let what = reader.byte()?;
        let mut reason = || reasons.get(usize::try_from(reader.number()?).ok()?).cloned();
        let sight = match what & 0b111 {
            0 => Sight::Ok,
            1 => Sight::Slow(reason()?),
            2 => Sight::Fail(reason()?),
            3 => Sight::Local(reason()?),
            4 => Sight::Missed(reason()?),
            _ => return None,
        };
        let mut sum = 0_i64;
        let mut phase = |bit: u8| -> Option<Option<u32>> {
            if what >> (3 + bit) & 1 == 0 {
                return Some(None);
            }
            let micros = u32::try_from(reader.number()?).ok()?;
            sum += i64::from(micros);
            Some(Some(micros))
        };
        let phases = Phases {
            dns_us: phase(0)?,
            connect_us: phase(1)?,
            tls_us: phase(2)?,
            wait_us: phase(3)?,
            transfer_us: phase(4)?,
        };
        let took_us = u32::try_from(sum.checked_add(unzigzag(reader.number()?))?).ok()?;
        each(StoredResult { monitor, at: Timestamp::from_millis(at), sight, took_us, phases });
    }
    Some(())
}

struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.left.split_at_checked(length)?;
        self.left = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(body: &[u8]) -> Result<Vec<StoredResult>, StoreError> {
        let mut results = Vec::new();
        decode(body, None, |result| results.push(result)).map(|()| results)
    }

    fn result() -> impl Strategy<Value = StoredResult> {
        let reason = ("[a-z]{0,8}", ".{0,40}").prop_map(|(code, text)| Reason { code: Cow::Owned(code), text });
        let sight = prop_oneof![
            4 => Just(Sight::Ok),
            1 => reason.clone().prop_map(Sight::Slow),
            1 => reason.clone().prop_map(Sight::Fail),
            1 => reason.clone().prop_map(Sight::Local),
            1 => reason.prop_map(Sight::Missed),
        ];
        let phase = || prop::option::of(any::<u32>());
        let phases = (phase(), phase(), phase(), phase(), phase()).prop_map(
            |(dns_us, connect_us, tls_us, wait_us, transfer_us)| Phases {
                dns_us,
                connect_us,
                tls_us,
                wait_us,
                transfer_us,
            },
        );
        let at = prop_oneof![1_700_000_000_000..1_700_000_100_000_i64, any::<i64>()];
        (prop_oneof![0..20_i64, any::<i64>()], at, sight, any::<u32>(), phases).prop_map(
            |(monitor, at, sight, took_us, phases)| StoredResult {
                monitor,
                at: Timestamp::from_millis(at),
                sight,
                took_us,
                phases,
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(mut results in prop::collection::vec(result(), 0..60)) {
            let read = all(&encode(&results)).unwrap();
            results.sort_by_key(|result| (result.monitor, result.at));
            prop_assert_eq!(read, results);
        }

        #[test]
        fn one_monitor_alone_can_be_read(results in prop::collection::vec(result(), 1..60)) {
            let wanted = results[0].monitor;
            let mut read = Vec::new();
            decode(&encode(&results), Some(wanted), |result| read.push(result)).unwrap();
            let mut expected: Vec<_> = results.into_iter().filter(|result| result.monitor == wanted).collect();
            expected.sort_by_key(|result| result.at);
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn a_body_that_was_cut_or_grew_is_an_error(
            results in prop::collection::vec(result(), 1..20), at in any::<prop::sample::Index>(), more in any::<u8>(),
        ) {
            let mut body = encode(&results);
            prop_assert!(all(&body[..at.index(body.len())]).is_err());
            body.push(more);
            prop_assert!(all(&body).is_err());
        }

        #[test]
        fn garbage_is_an_error_or_results_but_never_a_panic(
            mut body in prop::collection::vec(any::<u8>(), 0..200), versioned in any::<bool>(),
        ) {
            if versioned && let Some(first) = body.first_mut() {
                *first = VERSION;
            }
            let _ = all(&body);
        }
    }

    #[test]
    fn an_unchanged_http_result_takes_about_twenty_bytes() {
        let results: Vec<_> = (0..60)
            .map(|n| StoredResult {
                monitor: 7,
                at: Timestamp::from_millis(1_772_332_200_000 + n * 30_000 + n % 5),
                sight: Sight::Ok,
                took_us: 182_000 + n as u32,
                phases: Phases {
                    dns_us: Some(1_200),
                    connect_us: Some(21_000),
                    tls_us: Some(45_000),
                    wait_us: Some(110_000),
                    transfer_us: Some(900),
                },
            })
            .collect();
        let bytes = encode(&results).len() / results.len();
        assert!(bytes <= 20, "{bytes} bytes a result");
    }

    #[test]
    fn a_reason_that_many_share_is_written_once() {
        let refused = Reason::new("refused", "connection refused by 10.0.0.7:443");
        let results: Vec<_> = (0..500)
            .map(|monitor| StoredResult {
                monitor,
                at: Timestamp::from_millis(1_772_332_200_000),
                sight: Sight::Fail(refused.clone()),
                took_us: 400,
                phases: Phases::default(),
            })
            .collect();
        assert!(encode(&results).len() < 500 * 20);
    }
}
