//! Counts calls of addresses that nobody has. Guessing is hopeless; this only keeps it from being a burden. Whoever
//! calls an address that is there is never refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use watchbell_core::Timestamp;

/// So many a minute are answered like any other.
const FREE: u32 = 120;
const MINUTE: Duration = Duration::from_secs(60);
/// So many addresses are remembered; then counting begins anew for all.
const REMEMBERED: usize = 10_000;

/// Misses by address within the running minute.
#[derive(Default)]
pub(crate) struct Misses(Mutex<HashMap<IpAddr, (Timestamp, u32)>>);

impl Misses {
    /// Notes one more. `false`: it is one too many.
    pub(super) fn may(&self, address: IpAddr, now: Timestamp) -> bool {
        let mut known = self.0.lock();
        let network = crate::web::auth::limiter::network(address);
        if known.len() >= REMEMBERED && !known.contains_key(&network) {
            known.clear();
        }
        let (since, count) = known.entry(network).or_insert((now, 0));
        if now.since(*since) >= MINUTE || now < *since {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= FREE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_misses_of_one_address_are_refused_until_the_minute_is_over() {
        let misses = Misses::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let at = Timestamp::from_secs;
        for _ in 0..FREE {
            assert!(misses.may(one, at(10)));
        }
        assert!(!misses.may(one, at(11)));
        assert!(misses.may(other, at(11)));
        assert!(misses.may(one, at(70)));
    }

    #[test]
    fn memory_stays_bounded() {
        let misses = Misses::default();
        for number in 0..2 * u32::try_from(REMEMBERED).unwrap() {
            misses.may(IpAddr::from(number.to_be_bytes()), Timestamp::EPOCH);
        }
        assert!(misses.0.lock().len() <= REMEMBERED);
    }
}
