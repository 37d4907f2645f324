//! Empties the outbox: claims what is due, has it sent, notes what came of it.
//!
//! A delivery is done only after the service has accepted it, so a crash in between repeats it with the same key.
//! Each channel has its own places and its own breaker: a slow or dead one delays neither a check nor another channel.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use watchbell_core::decide::NoticeKind;
use watchbell_core::{Message, Slug, Timestamp};
use watchbell_notify::retry::{Breaker, DEAD_AFTER, next_try};
use watchbell_notify::{Channel, Refusal, Sender};
use watchbell_store::{Delivery, Finished, NewDelivery, Store, StoreError};

use crate::app::Settings;
use crate::clock::{Clock, monotonic};
use crate::live::{Live, News};
use crate::random;
use crate::telemetry::Own;

/// A claim that is not finished after this long is free again: longer than any try.
const CLAIM_FOR: Duration = Duration::from_secs(60);
/// So many tries at a time for one channel, and in all.
const PLACES_OF_A_CHANNEL: usize = 8;
const PLACES: usize = 64;
/// A channel that has refused so often, or for so long, is helped by the fallback channel.
const FALLBACK_AFTER_TRIES: u32 = 3;
const FALLBACK_AFTER: Duration = Duration::from_secs(5 * 60);
/// No channel rests longer.
const LONGEST_REST: Duration = Duration::from_secs(15 * 60);
/// So many old messages are looked after at a time.
const OLD_AT_ONCE: usize = 100;
/// The outbox is looked at this often even if nothing rings.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// What delivering needs.
pub(crate) struct Deliverer {
    pub store: Store,
    pub sender: Arc<Sender>,
    pub live: Arc<Live>,
    pub clock: Arc<Clock>,
    pub own: Arc<Own>,
    pub settings: Arc<ArcSwap<Settings>>,
    pub ring: Arc<Notify>,
    pub node: String,
}

/// What one try gave.
struct Tried {
    channel: Slug,
    /// The settings it was tried with; `None` if the channel is gone.
    settings: Option<Arc<Channel>>,
    /// The channel is ill; how long it asked to be left alone.
    ill: Option<Option<Duration>>,
}

/// Each with the settings it judges.
type Breakers = HashMap<Slug, (Breaker, Arc<Channel>)>;

/// No tries for now. A rest further ahead than any we order was moved there by a leaping clock, and is over.
fn rests(breaker: &Breaker, now: Timestamp) -> bool {
    breaker.open_until().is_some_and(|until| now < until && until <= now + LONGEST_REST)
}

impl Deliverer {
    /// Runs until `stop`; tries under way are then given a moment to finish.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut tries: JoinSet<Tried> = JoinSet::new();
        let mut places: HashMap<Slug, usize> = HashMap::new();
        let mut breakers: Breakers = HashMap::new();
        let mut looked_after = monotonic();
        while !*stop.borrow() {
            this.forget_old(&mut breakers);
            if monotonic() - looked_after >= LONGEST_WAIT {
                looked_after = monotonic();
                this.look_after_the_old().await;
            }
            let busy = this.busy(&places, &breakers);
            let free = PLACES.saturating_sub(tries.len());
            if free == 0 {
                tokio::select! {
                    Some(tried) = tries.join_next() => this.note(tried.ok(), &mut places, &mut breakers),
                    _ = stop.changed() => {}
                }
                continue;
            }
            let most = if this.is_probing(&breakers) { 1 } else { free.min(PLACES_OF_A_CHANNEL) };
            let (claimed, failed) = match this.claim(most, &busy).await {
                Ok(claimed) => (claimed, false),
                Err(why) => {
                    tracing::warn!(%why, "the outbox could not be read; trying again");
                    (Vec::new(), true)
                }
            };
            let idle = claimed.is_empty();
            for delivery in claimed {
                *places.entry(delivery.channel.clone()).or_default() += 1;
                tries.spawn(Arc::clone(&this).attempt(delivery));
            }
            if !idle {
                continue;
            }
            let wait = if failed { Duration::from_secs(1) } else { this.until_next(&busy, &breakers).await };
            tokio::select! {
                Some(tried) = tries.join_next(), if !tries.is_empty() => {
                    this.note(tried.ok(), &mut places, &mut breakers);
                    while let Some(tried) = tries.try_join_next() {
                        this.note(tried.ok(), &mut places, &mut breakers);
                    }
                }
                () = this.ring.notified() => {}
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => {}
            }
        }
        let finishing = async { while tries.join_next().await.is_some() {} };
        // What does not finish in time is claimed again after the next start.
        let _ = tokio::time::timeout(Duration::from_secs(5), finishing).await;
    }

    /// Channels that get nothing more for now: full, resting, or waiting for what the one try after a rest gives.
    fn busy(&self, places: &HashMap<Slug, usize>, breakers: &Breakers) -> Vec<Slug> {
        let now = self.clock.now();
        let full = places.iter().filter(|(_, taken)| **taken >= PLACES_OF_A_CHANNEL).map(|(channel, _)| channel);
        let taken = |channel: &Slug| places.get(channel).is_some_and(|taken| *taken > 0);
        let broken = breakers
            .iter()
            .filter(|(channel, (breaker, _))| rests(breaker, now) || (breaker.is_open() && taken(channel)))
            .map(|(channel, _)| channel);
        full.chain(broken).cloned().collect()
    }

    /// A broken channel has rested and may be tried: one delivery at a time is claimed until that is decided.
    fn is_probing(&self, breakers: &Breakers) -> bool {
        let now = self.clock.now();
        breakers.values().any(|(breaker, _)| breaker.is_open() && !rests(breaker, now))
    }

    /// A channel whose settings were changed begins anew.
    fn forget_old(&self, breakers: &mut Breakers) {
        breakers.retain(|slug, (_, tried)| {
            self.live.channel(slug.as_str()).is_some_and(|view| Arc::ptr_eq(&view.channel, tried))
        });
    }

    async fn claim(&self, most: usize, busy: &[Slug]) -> Result<Vec<Delivery>, StoreError> {
        self.store.claim_deliveries(self.clock.now(), &self.node, most, CLAIM_FOR, busy).await
    }

    /// A message that waits behind others of a dead channel is never tried, and must not go unheard for that.
    async fn look_after_the_old(&self) {
        let now = self.clock.now();
        match self.store.overdue_deliveries(now - FALLBACK_AFTER, OLD_AT_ONCE).await {
            Ok(old) => {
                for delivery in old {
                    let why = delivery.last_error.clone().unwrap_or_else(|| "it does not take messages".into());
                    if let Some(fallback) = self.fallback(&delivery, &why, now) {
                        // A key that is there already was told already.
                        let _ = self.store.add_delivery(&fallback, now).await;
                    }
                }
            }
            Err(why) => tracing::warn!(%why, "old deliveries could not be looked for"),
        }
        let error = format!("Given up: not delivered within {} h", DEAD_AFTER.as_secs() / 3600);
        match self.store.expire_deliveries(now - DEAD_AFTER, now, &error).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::error!(count, "deliveries were given up for their age");
                self.own.deliveries_dead.fetch_add(count, Ordering::Relaxed);
                self.live.publish(News::Deliveries);
            }
            Err(why) => tracing::warn!(%why, "deliveries past their time could not be given up"),
        }
    }

    /// How long nothing is due: no delivery, and no rest of a broken channel ends.
    async fn until_next(&self, busy: &[Slug], breakers: &Breakers) -> Duration {
        if let Ok(counts) = self.store.delivery_counts().await {
            self.own.deliveries_waiting.store((counts.pending + counts.claimed) as i64, Ordering::Relaxed);
            self.own.set_oldest_waiting(counts.oldest_pending);
        }
        let now = self.clock.now();
        let resting = breakers.values().filter(|(breaker, _)| rests(breaker, now));
        let rested = resting.filter_map(|(breaker, _)| breaker.open_until());
        let next = self.store.next_due(busy).await.ok().flatten().into_iter().chain(rested).min();
        next.map_or(LONGEST_WAIT, |due| due.since(now).clamp(Duration::from_millis(10), LONGEST_WAIT))
    }

    fn note(&self, tried: Option<Tried>, places: &mut HashMap<Slug, usize>, breakers: &mut Breakers) {
        let Some(Tried { channel, settings, ill }) = tried else { return };
        if let Some(taken) = places.get_mut(&channel) {
            *taken = taken.saturating_sub(1);
        }
        let now = self.clock.now();
        let Some(settings) = settings else { return };
        let (breaker, _) = breakers.entry(channel).or_insert_with(|| (Breaker::default(), settings));
        match ill {
            None => breaker.succeeded(),
            // Tries that were under way when the rest began say nothing new.
            Some(_) if rests(breaker, now) => {}
            Some(after) => breaker.failed(now, after, random::fraction()),
        }
    }

    async fn attempt(self: Arc<Self>, delivery: Delivery) -> Tried {
        let channel = delivery.channel.clone();
        let known = self.live.channel(channel.as_str());
        let sent = match &known {
            Some(view) => {
                let sending = AssertUnwindSafe(self.sender.send(&view.channel, &delivery.message)).catch_unwind();
                sending.await.unwrap_or_else(|_| {
                    Err(Refusal::Later { after: None, why: "Sending itself failed; this is our fault".into() })
                })
            }
            None if self.live.is_unreadable_channel(channel.as_str()) => Err(Refusal::Later {
                after: None,
                why: format!("The settings of `{channel}` cannot be read; see Problems."),
            }),
            None => Err(Refusal::Never { why: format!("The channel `{channel}` does not exist any more.") }),
        };
        let now = self.clock.now();
        // A refusal for good is about this message or these settings; only what may pass says the channel is ill.
        let ill = match &sent {
            Err(Refusal::Later { after, .. }) => Some(*after),
            Ok(_) | Err(Refusal::Never { .. }) => None,
        };
        let shown = match &sent {
            Ok(_) => Ok(()),
            Err(Refusal::Later { why, .. } | Refusal::Never { why }) => Err(why.clone()),
        };
        let (outcome, mut fallback) = self.judge(&delivery, sent, now);
        if matches!(outcome, Finished::Done { .. }) {
            fallback = self.end_for_fallback(&delivery, now).await;
        }
        match &outcome {
            Finished::Done { .. } => self.own.deliveries_done.fetch_add(1, Ordering::Relaxed),
            Finished::Later { error, .. } => {
                tracing::warn!(%channel, delivery = delivery.id, attempt = delivery.attempt, %error, "not delivered yet");
                self.own.deliveries_retried.fetch_add(1, Ordering::Relaxed)
            }
            Finished::Dead { error } => {
                tracing::error!(%channel, delivery = delivery.id, %error, "a delivery was given up");
                self.own.deliveries_dead.fetch_add(1, Ordering::Relaxed)
            }
        };
        self.finish(&delivery, now, outcome, fallback).await;
        self.live.channel_answered(channel.as_str(), now, shown);
        self.live.publish(News::Deliveries);
        Tried { channel, settings: known.map(|view| view.channel), ill }
    }

    /// Notes the outcome. If the store does not answer, the claim runs out and the message is sent once more,
    /// with the same key.
    async fn finish(&self, delivery: &Delivery, now: Timestamp, outcome: Finished, fallback: Option<NewDelivery>) {
        for wait in [100, 500, 2000] {
            match self
                .store
                .finish_delivery(delivery.id, delivery.attempt, now, outcome.clone(), fallback.clone())
                .await
            {
                Ok(_) => return,
                Err(why) => tracing::warn!(%why, delivery = delivery.id, "the outcome of a delivery was not stored"),
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    fn judge(
        &self,
        delivery: &Delivery,
        sent: Result<watchbell_notify::Accepted, Refusal>,
        now: Timestamp,
    ) -> (Finished, Option<NewDelivery>) {
        match sent {
            Ok(accepted) => (Finished::Done { status: accepted.status, answer: accepted.answer }, None),
            Err(Refusal::Never { why }) => {
                let fallback = self.fallback(delivery, &why, now);
                (Finished::Dead { error: why }, fallback)
            }
            Err(Refusal::Later { after, why }) => {
                let age = now.since(delivery.created_at);
                let wait = next_try(delivery.attempt, after, random::fraction());
                if age + wait > DEAD_AFTER {
                    let fallback = self.fallback(delivery, &why, now);
                    let error =
                        format!("Given up after {} tries in {} h: {why}", delivery.attempt, age.as_secs() / 3600);
                    return (Finished::Dead { error }, fallback);
                }
                let long = delivery.attempt >= FALLBACK_AFTER_TRIES || age >= FALLBACK_AFTER;
                let fallback = if long { self.fallback(delivery, &why, now) } else { None };
                (Finished::Later { due: now + wait, error: why }, fallback)
            }
        }
    }

    /// Where the fallback channel heard the failure in place of this one, it hears the end, too.
    async fn end_for_fallback(&self, delivery: &Delivery, now: Timestamp) -> Option<NewDelivery> {
        if !matches!(delivery.message.event, NoticeKind::Up | NoticeKind::Closed) {
            return None;
        }
        let (monitor, seq) = delivery.message.incident.as_ref()?.id.rsplit_once('-')?;
        let cluster = self.store.cluster_id();
        let first = format!("{cluster}/{monitor}/{seq}/{}/down/fallback", delivery.channel);
        let heard = self.store.has_delivery(&first).await.unwrap_or(false);
        if heard { self.fallback(delivery, "it heard of the failure in its place", now) } else { None }
    }

    /// The same message for the fallback channel. Its key is made from the first one, so that it is sent once
    /// however often the first is refused.
    fn fallback(&self, delivery: &Delivery, why: &str, now: Timestamp) -> Option<NewDelivery> {
        let fallback = self.settings.load().fallback.clone()?;
        if delivery.fallback_of.is_some() || delivery.channel == fallback || delivery.message.test {
            return None;
        }
        let message = Message {
            because: format!("{fallback}: {} could not be reached ({why})", delivery.channel),
            key: format!("{}/fallback", delivery.message.key),
            ..delivery.message.clone()
        };
        Some(NewDelivery { fallback_of: Some(delivery.id), ..NewDelivery::new(fallback, message, now) })
    }
}
