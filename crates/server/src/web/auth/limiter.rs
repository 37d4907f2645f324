//! Slows down who guesses, by address and by account. It never locks anybody out: waiting always helps.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use watchbell_core::Timestamp;

/// Failed attempts are forgotten after so long without another.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// So many addresses and so many accounts are remembered; then the oldest are forgotten.
const REMEMBERED: usize = 10_000;

/// Mistakes by address and by account.
#[derive(Default)]
pub(crate) struct Limiter {
    addresses: Mutex<Mistakes<IpAddr>>,
    accounts: Mutex<Mistakes<String>>,
}

impl Limiter {
    /// How long to wait before the next attempt may be looked at; `None` if not at all.
    pub(crate) fn wait(&self, address: IpAddr, account: &str, now: Timestamp) -> Option<Duration> {
        let by_address = self.addresses.lock().wait(&network(address), &ADDRESS, now);
        let by_account = self.accounts.lock().wait(&account.to_lowercase(), &ACCOUNT, now);
        by_address.max(by_account)
    }

    pub(crate) fn failed(&self, address: IpAddr, account: &str, now: Timestamp) {
        self.addresses.lock().add(network(address), now);
        self.accounts.lock().add(account.to_lowercase(), now);
    }

    /// The right password clears the account. The address keeps its mistakes: it may know one account and guess at others.
    pub(crate) fn succeeded(&self, account: &str) {
        self.accounts.lock().known.remove(&account.to_lowercase());
    }
}

/// How patient we are: so many mistakes are free, then each doubles the wait up to the longest.
struct Patience {
    free: u32,
    longest: Duration,
}

const ADDRESS: Patience = Patience { free: 5, longest: Duration::from_secs(60) };
/// Anybody can make mistakes in somebody else's name, so the wait stays bearable.
const ACCOUNT: Patience = Patience { free: 10, longest: Duration::from_secs(20) };

struct Mistakes<K> {
    known: HashMap<K, (u32, Timestamp)>,
}

impl<K> Default for Mistakes<K> {
    fn default() -> Self {
        Self { known: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone> Mistakes<K> {
    fn wait(&self, key: &K, patience: &Patience, now: Timestamp) -> Option<Duration> {
        let (count, last) = *self.known.get(key)?;
        if now.since(last) > FORGET_AFTER || count < patience.free {
            return None;
        }
        let doublings = (count - patience.free).min(16);
        let wait = Duration::from_secs(1 << doublings).min(patience.longest);
        (last + wait > now).then(|| (last + wait).since(now))
    }

    fn add(&mut self, key: K, now: Timestamp) {
        if self.known.len() >= REMEMBERED && !self.known.contains_key(&key) {
            self.known.retain(|_, (_, last)| now.since(*last) <= FORGET_AFTER);
            if self.known.len() >= REMEMBERED
                && let Some(oldest) = self.known.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| key.clone())
            {
                self.known.remove(&oldest);
            }
        }
        let entry = self.known.entry(key).or_insert((0, now));
        if now.since(entry.1) > FORGET_AFTER {
            entry.0 = 0;
        }
        *entry = (entry.0.saturating_add(1), now);
    }
}

/// A home has a whole /64 of addresses to guess from.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(it) => {
            let [a, b, c, d, ..] = it.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_few_mistakes_are_free_and_then_each_doubles_the_wait() {
        let limiter = Limiter::default();
        for _ in 0..4 {
            limiter.failed(HOME, "ada", at(0));
        }
        assert_eq!(limiter.wait(HOME, "ada", at(0)), None);
        for (failures, wait) in [(1, 1), (1, 2), (1, 4), (20, 60)] {
            for _ in 0..failures {
                limiter.failed(HOME, "ada", at(0));
            }
            assert_eq!(limiter.wait(HOME, "ada", at(0)), Some(Duration::from_secs(wait)));
        }
        assert_eq!(limiter.wait(HOME, "ada", at(61)), None, "waiting always helps");
    }

    #[test]
    fn many_addresses_that_guess_at_one_account_are_slowed_down_too() {
        let limiter = Limiter::default();
        for last in 0..100 {
            limiter.failed(IpAddr::from([198, 51, 100, last]), "Ada", at(0));
        }
        assert_eq!(limiter.wait(HOME, "ada", at(0)), Some(ACCOUNT.longest));
        assert_eq!(limiter.wait(HOME, "tom", at(0)), None);
        limiter.succeeded("ADA");
        assert_eq!(limiter.wait(HOME, "ada", at(0)), None);
    }

    #[test]
    fn neighbours_in_one_network_count_together() {
        let limiter = Limiter::default();
        for last in 1..=5 {
            limiter.failed(format!("2001:db8:1:2::{last}").parse().unwrap(), &format!("user{last}"), at(0));
        }
        assert!(limiter.wait("2001:db8:1:2:ffff::9".parse().unwrap(), "ada", at(0)).is_some());
        assert_eq!(limiter.wait("2001:db8:1:3::1".parse().unwrap(), "ada", at(0)), None);
    }

    #[test]
    fn memory_stays_bounded_under_a_flood() {
        let limiter = Limiter::default();
        for number in 0..u32::try_from(REMEMBERED).unwrap() + 500 {
            limiter.failed(IpAddr::from(number.to_be_bytes()), &number.to_string(), at(i64::from(number)));
        }
        assert!(limiter.addresses.lock().known.len() <= REMEMBERED);
        assert!(limiter.accounts.lock().known.len() <= REMEMBERED);
    }
}
