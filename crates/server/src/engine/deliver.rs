//! Empties the outbox: claims what is due, has it sent, notes what came of it.
//!
//! A delivery is done only after the service has accepted it, so a crash in between repeats it with the same key.
//! Each channel has its own places and its own breaker: a slow or dead one delays neither a check nor another channel.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use watchbell_core::{Message, Slug, Timestamp};
use watchbell_notify::retry::{Breaker, DEAD_AFTER, next_try};
use watchbell_notify::{Refusal, Sender};
use watchbell_store::{Delivery, Finished, NewDelivery, Store, StoreError};

use crate::app::Settings;
use crate::clock::Clock;
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
    /// The channel is ill; how long it asked to be left alone.
    ill: Option<Option<Duration>>,
}

impl Deliverer {
    /// Runs until `stop`; tries under way are then given a moment to finish.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut tries: JoinSet<Tried> = JoinSet::new();
        let mut places: HashMap<Slug, usize> = HashMap::new();
        let mut breakers: HashMap<Slug, Breaker> = HashMap::new();
        while !*stop.borrow() {
            let busy = this.busy(&places, &breakers);
            let free = PLACES.saturating_sub(tries.len());
            let (claimed, failed) = match this.claim(free, &busy).await {
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
            if !idle && tries.len() < PLACES {
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

    fn busy(&self, places: &HashMap<Slug, usize>, breakers: &HashMap<Slug, Breaker>) -> Vec<Slug> {
        let now = self.clock.now();
        let full = places.iter().filter(|(_, taken)| **taken >= PLACES_OF_A_CHANNEL).map(|(channel, _)| channel);
        let resting = |breaker: &Breaker| breaker.open_until().is_some_and(|until| now < until);
        let broken = breakers.iter().filter(|(_, breaker)| resting(breaker)).map(|(channel, _)| channel);
        full.chain(broken).cloned().collect()
    }

    async fn claim(&self, free: usize, busy: &[Slug]) -> Result<Vec<Delivery>, StoreError> {
        if free == 0 {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        self.store.claim_deliveries(now, &self.node, free.min(PLACES_OF_A_CHANNEL), CLAIM_FOR, busy).await
    }

    /// How long nothing is due: no delivery, and no rest of a broken channel ends.
    async fn until_next(&self, busy: &[Slug], breakers: &HashMap<Slug, Breaker>) -> Duration {
        if let Ok(counts) = self.store.delivery_counts().await {
            self.own.deliveries_waiting.store((counts.pending + counts.claimed) as i64, Ordering::Relaxed);
            self.own.set_oldest_waiting(counts.oldest_pending);
        }
        let now = self.clock.now();
        let rested = breakers.values().filter_map(Breaker::open_until).filter(|until| *until > now);
        let next = self.store.next_due(busy).await.ok().flatten().into_iter().chain(rested).min();
        next.map_or(LONGEST_WAIT, |due| due.since(now).clamp(Duration::from_millis(10), LONGEST_WAIT))
    }

    fn note(
        &self,
        tried: Option<Tried>,
        places: &mut HashMap<Slug, usize>,
        breakers: &mut HashMap<Slug, Breaker>,
    ) {
        let Some(Tried { channel, ill }) = tried else { return };
        if let Some(taken) = places.get_mut(&channel) {
            *taken = taken.saturating_sub(1);
        }
        let breaker = breakers.entry(channel).or_default();
        match ill {
            None => breaker.succeeded(),
            Some(after) => breaker.failed(self.clock.now(), after, random::fraction()),
        }
    }

    async fn attempt(self: Arc<Self>, delivery: Delivery) -> Tried {
        let channel = delivery.channel.clone();
        let known = self.live.channel(channel.as_str());
        let sent = match &known {
            Some(view) => self.sender.send(&view.channel, &delivery.message).await,
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
        let (outcome, fallback) = self.judge(&delivery, sent, now);
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
        Tried { channel, ill }
    }

    /// Notes the outcome. If the store does not answer, the claim runs out and the message is sent once more,
    /// with the same key.
    async fn finish(&self, delivery: &Delivery, now: Timestamp, outcome: Finished, fallback: Option<NewDelivery>) {
        for wait in [100, 500, 2000] {
            match self.store.finish_delivery(delivery.id, delivery.attempt, now, outcome.clone(), fallback.clone()).await {
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
                    let error = format!("Given up after {} tries in {} h: {why}", delivery.attempt, age.as_secs() / 3600);
                    return (Finished::Dead { error }, fallback);
                }
                let long = delivery.attempt >= FALLBACK_AFTER_TRIES || age >= FALLBACK_AFTER;
                let fallback = if long { self.fallback(delivery, &why, now) } else { None };
                (Finished::Later { due: now + wait, error: why }, fallback)
            }
        }
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
