//! Results of checks: written as they come, one row a commit; put away by the hour, one block a monitor; read from both.
//!
//! A result is named by its monitor and moment. The same one stored twice, because a commit was made again or was just
//! being put away, is read once.

use std::ops::ControlFlow;

use watchbell_core::decide::Sight;
use watchbell_core::{Phases, Timestamp};

use crate::codec::{decode, encode};
use crate::statement::{Step, statements};
use crate::value::values;
use crate::{Store, StoreError};

const HOUR: i64 = 3_600_000;
/// Hours read by one question: a week-end.
const HOURS_AT_ONCE: i64 = 48;
/// Rows of the log read by one question.
const LOG_ROWS_AT_ONCE: usize = 256;
/// Results put away by one transaction, about 30 MB while it happens.
const RESULTS_AT_ONCE: usize = 200_000;
/// In one answer of [`Store::results`].
const MOST_RESULTS: usize = 100_000;
/// In one answer of [`Store::chart`].
const MOST_BUCKETS: usize = 2_000;

statements! {
    APPEND = "INSERT INTO result_log (from_at, to_at, n, body) VALUES ($1, $2, $3, $4)";
    LOG = "SELECT id, body FROM result_log WHERE id > $1 AND to_at >= $2 AND from_at < $3 ORDER BY id LIMIT $4";
    LOG_BEFORE = "SELECT id, n, body FROM result_log WHERE id > $1 AND to_at < $2 ORDER BY id LIMIT $3";
    DELETE_LOG = "DELETE FROM result_log WHERE id = $1";
    DELETE_LOG_BEFORE = "DELETE FROM result_log WHERE to_at < $1";
    APPEND_BLOCK = "INSERT INTO result_block (hour, monitor_id, part, n, from_at, to_at, body)
                    VALUES ($1, $2, (SELECT COALESCE(MAX(part) + 1, 0) FROM result_block WHERE hour = $1 AND monitor_id = $2),
                      $3, $4, $5, $6)";
    /// One look into the key for each hour; the hours stand first on purpose.
    BLOCKS = "WITH RECURSIVE hours (hour) AS (
                SELECT CAST($2 AS BIGINT) UNION ALL SELECT hour + 1 FROM hours WHERE hour < CAST($3 AS BIGINT))
              SELECT b.body FROM hours CROSS JOIN result_block b
              WHERE b.hour = hours.hour AND b.monitor_id = $1 ORDER BY b.hour, b.part";
    BLOCK_HOURS = "SELECT (SELECT MIN(hour) FROM result_block), (SELECT MAX(hour) FROM result_block)";
    DELETE_HOUR = "DELETE FROM result_block WHERE hour = $1";
}

/// One check of one monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResult {
    pub monitor: i64,
    /// When the asking began.
    pub at: Timestamp,
    pub sight: Sight,
    pub took_us: u32,
    pub phases: Phases,
}

/// The results of one stretch of a chart. The times are those of good and slow answers; without any they are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The stretch lasts until the next one's.
    pub from: Timestamp,
    pub n_ok: u32,
    pub n_slow: u32,
    pub n_fail: u32,
    /// Not asked: our side failed, or the moment passed.
    pub n_local: u32,
    pub median_us: Option<u32>,
    pub p95_us: Option<u32>,
    pub min_us: Option<u32>,
    pub max_us: Option<u32>,
}

/// What [`Store::compact`] put away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    pub results: u64,
    pub log_rows: u64,
    pub blocks: u64,
}

impl Store {
    /// From `from`, before `to`; at most `limit`, and never more than 100,000.
    pub async fn results(
        &self,
        monitor: i64,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
        newest_first: bool,
    ) -> Result<Vec<StoredResult>, StoreError> {
        let limit = limit.min(MOST_RESULTS);
        let mut all = Vec::new();
        self.scan(monitor, from, to, newest_first, |results| {
            all.extend(results);
            if all.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
        all.truncate(limit);
        Ok(all)
    }

    /// The time from `from` to `to` in `buckets` equal stretches, at most 2,000.
    pub async fn chart(
        &self,
        monitor: i64,
        from: Timestamp,
        to: Timestamp,
        buckets: usize,
    ) -> Result<Vec<Bucket>, StoreError> {
        let count = buckets.clamp(1, MOST_BUCKETS);
        let mut chart = Chart::new(from, to, count);
        self.scan(monitor, from, to, false, |results| {
            results.iter().for_each(|result| chart.add(result));
            ControlFlow::Continue(())
        })
        .await?;
        Ok(chart.finish())
    }

    /// Puts away what was logged before this moment. Call it every hour or oftener; the log is what every question
    /// about the present has to look through.
    pub async fn compact(&self, before: Timestamp) -> Result<Compacted, StoreError> {
        let _alone = self.shared.compacting.lock().await;
        let mut total = Compacted::default();
        let mut last = i64::MIN;
        loop {
            let mut rows = Vec::new();
            let mut results = Vec::new();
            let mut more = true;
            while more && results.len() < RESULTS_AT_ONCE {
                let page = self.db.read(&LOG_BEFORE, values![last, before, LOG_ROWS_AT_ONCE]).await?;
                more = page.len() == LOG_ROWS_AT_ONCE;
                for row in page {
                    let mut row = row.columns();
                    let (id, count, body) = (row.int()?, row.u64()?, row.blob()?);
                    last = id;
                    let known = results.len();
                    match decode(&body, None, |result| results.push(result)) {
                        Ok(()) => rows.push(id),
                        Err(error) => {
                            // It stays where it is until its time is over; the others go on without it.
                            results.truncate(known);
                            tracing::error!(%error, id, count, "a row of the result log was left out");
                        }
                    }
                }
            }
            if !rows.is_empty() {
                total.log_rows += rows.len() as u64;
                let (steps, blocks, kept) = put_away(&rows, results);
                self.db.write(steps).await?;
                total.blocks += blocks;
                total.results += kept;
            }
            if !more {
                return Ok(total);
            }
        }
    }

    /// Forgets the results before the hour of this moment. Gives the number of rows that held them.
    pub async fn drop_results(&self, before: Timestamp) -> Result<u64, StoreError> {
        let end = hour_of(before);
        let mut dropped = self.db.write_one(&DELETE_LOG_BEFORE, values![end.saturating_mul(HOUR)]).await?.count;
        // One hour at a time: a long history must not keep the writer for itself.
        while let Some((oldest, _)) = self.block_hours().await?.filter(|(oldest, _)| *oldest < end) {
            dropped += self.db.write_one(&DELETE_HOUR, values![oldest]).await?.count;
        }
        Ok(dropped)
    }

    /// The first and the last hour that has a block.
    pub(crate) async fn block_hours(&self) -> Result<Option<(i64, i64)>, StoreError> {
        let Some(row) = self.db.read_one(&BLOCK_HOURS, Vec::new()).await? else { return Ok(None) };
        let mut row = row.columns();
        Ok(row.maybe_int()?.zip(row.maybe_int()?))
    }

    /// Gives the monitor's results to `each` in portions that follow one another, each portion in order.
    async fn scan(
        &self,
        monitor: i64,
        from: Timestamp,
        to: Timestamp,
        newest_first: bool,
        mut each: impl FnMut(Vec<StoredResult>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // First the log, then the blocks: what is put away in between is then seen twice, not never.
        let fresh = self.logged(monitor, from, to).await?;
        let blocks = self.block_hours().await?;
        let hours = fresh.iter().map(|result| hour_of(result.at)).chain(blocks.into_iter().flat_map(|(a, b)| [a, b]));
        let (Some(oldest), Some(newest)) = (hours.clone().min(), hours.max()) else { return Ok(()) };
        let first = hour_of(from).max(oldest);
        let last = hour_of(to.shifted(-1)).min(newest);

        let windows = (last - first).div_euclid(HOURS_AT_ONCE) + 1;
        for number in 0..windows.max(0) {
            let number = if newest_first { windows - 1 - number } else { number };
            let begin = first + number * HOURS_AT_ONCE;
            let end = (begin + HOURS_AT_ONCE - 1).min(last);
            let mut results: Vec<StoredResult> =
                fresh.iter().filter(|result| (begin..=end).contains(&hour_of(result.at))).cloned().collect();
            for row in self.db.read(&BLOCKS, values![monitor, begin, end]).await? {
                keep_readable(&row.columns().blob()?, monitor, from, to, &mut results);
            }
            results.sort_by_key(|result| result.at);
            results.dedup_by_key(|result| result.at);
            if newest_first {
                results.reverse();
            }
            if each(results).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn logged(&self, monitor: i64, from: Timestamp, to: Timestamp) -> Result<Vec<StoredResult>, StoreError> {
        let mut results = Vec::new();
        let mut last = i64::MIN;
        loop {
            let rows = self.db.read(&LOG, values![last, from, to, LOG_ROWS_AT_ONCE]).await?;
            let more = rows.len() == LOG_ROWS_AT_ONCE;
            for row in rows {
                let mut row = row.columns();
                last = row.int()?;
                keep_readable(&row.blob()?, monitor, from, to, &mut results);
            }
            if !more {
                return Ok(results);
            }
        }
    }
}

/// All results of a commit in one row.
pub(crate) fn append(results: &[StoredResult]) -> Step {
    let moments = results.iter().map(|result| result.at);
    let from = moments.clone().min().unwrap_or_default();
    let to = moments.max().unwrap_or_default();
    Step::any(&APPEND, values![from, to, results.len(), encode(results)])
}

/// One bad body hides its own results, not the others'.
fn keep_readable(body: &[u8], monitor: i64, from: Timestamp, to: Timestamp, results: &mut Vec<StoredResult>) {
    let known = results.len();
    let read = decode(body, Some(monitor), |result| {
        if from <= result.at && result.at < to {
            results.push(result);
        }
    });
    if let Err(error) = read {
        results.truncate(known);
        tracing::error!(%error, monitor, "results were left out");
    }
}

/// The steps that move the results of these rows of the log into blocks, the number of blocks, and that of results.
fn put_away(rows: &[i64], mut results: Vec<StoredResult>) -> (Vec<Step>, u64, u64) {
    results.sort_by_key(|result| (hour_of(result.at), result.monitor, result.at));
    results.dedup_by_key(|result| (result.monitor, result.at));
    // Each must still be there: another node may be putting away the same rows.
    let mut steps: Vec<Step> = rows.iter().map(|id| Step::one(&DELETE_LOG, values![*id])).collect();
    for block in results.chunk_by(|a, b| (hour_of(a.at), a.monitor) == (hour_of(b.at), b.monitor)) {
        let [first, ..] = block else { continue };
        let last = block.last().unwrap_or(first);
        steps.push(Step::any(
            &APPEND_BLOCK,
            values![hour_of(first.at), first.monitor, block.len(), first.at, last.at, encode(block)],
        ));
    }
    let blocks = (steps.len() - rows.len()) as u64;
    (steps, blocks, results.len() as u64)
}

const fn hour_of(moment: Timestamp) -> i64 {
    moment.as_millis().div_euclid(HOUR)
}

/// A chart while it is being filled.
struct Chart {
    from: i64,
    length: i128,
    buckets: Vec<(Bucket, Vec<u32>)>,
}

impl Chart {
    fn new(from: Timestamp, to: Timestamp, count: usize) -> Self {
        let from = from.as_millis();
        let length = (i128::from(to.as_millis()) - i128::from(from)).max(1);
        let begin = |number: usize| {
            let offset = i64::try_from(length * number as i128 / count as i128).unwrap_or(i64::MAX);
            Timestamp::from_millis(from.saturating_add(offset))
        };
        let buckets =
            (0..count).map(|number| (Bucket { from: begin(number), ..Bucket::default() }, Vec::new())).collect();
        Self { from, length, buckets }
    }

    fn add(&mut self, result: &StoredResult) {
        let offset = i128::from(result.at.as_millis()) - i128::from(self.from);
        let number = usize::try_from(offset * self.buckets.len() as i128 / self.length).unwrap_or(usize::MAX);
        let Some((bucket, times)) = self.buckets.get_mut(number) else { return };
        match result.sight {
            Sight::Ok => bucket.n_ok += 1,
            Sight::Slow(_) => bucket.n_slow += 1,
            Sight::Fail(_) => bucket.n_fail += 1,
            Sight::Local(_) | Sight::Missed(_) => bucket.n_local += 1,
        }
        if matches!(result.sight, Sight::Ok | Sight::Slow(_)) {
            times.push(result.took_us);
        }
    }

    fn finish(self) -> Vec<Bucket> {
        self.buckets
            .into_iter()
            .map(|(mut bucket, mut times)| {
                times.sort_unstable();
                bucket.min_us = times.first().copied();
                bucket.max_us = times.last().copied();
                bucket.median_us = share(&times, 50);
                bucket.p95_us = share(&times, 95);
                bucket
            })
            .collect()
    }
}

/// The smallest of the sorted times that `percent` of them do not exceed.
fn share(times: &[u32], percent: usize) -> Option<u32> {
    times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_is_a_time_that_was_measured() {
        let times: Vec<u32> = (1..=100).collect();
        assert_eq!((share(&times, 50), share(&times, 95)), (Some(50), Some(95)));
        assert_eq!((share(&[7], 50), share(&[7], 95)), (Some(7), Some(7)));
        assert_eq!(share(&[], 50), None);
    }
}
