//! Connections that outlive a check, for the probes whose settings ask for it. At most one for each monitor, and
//! never more in all than a fixed number: each costs a descriptor.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is kept from one check to the next. A probe takes it out, uses it, and puts it back if it is still good.
pub struct Reuse {
    kept: Mutex<HashMap<i64, Box<dyn Any + Send>>>,
    most: usize,
}

impl Reuse {
    /// Enough for those who ask for it, far below the descriptors a process has.
    pub const MOST: usize = 512;

    /// Keeps at most `most`; beyond that, what is brought is dropped.
    pub fn new(most: usize) -> Self {
        Self { kept: Mutex::default(), most }
    }

    /// What was kept for `monitor`, if it is of the kind asked for. It is no longer kept.
    pub fn take<T: Any + Send>(&self, monitor: i64) -> Option<T> {
        let kept = self.kept().remove(&monitor)?;
        kept.downcast().ok().map(|kept| *kept)
    }

    /// Keeps `value` for the next check of `monitor`, instead of what was kept before.
    pub fn keep<T: Any + Send>(&self, monitor: i64, value: T) {
        let mut kept = self.kept();
        if kept.len() < self.most || kept.contains_key(&monitor) {
            let before = kept.insert(monitor, Box::new(value));
            // Closing a connection is not done under the lock.
            drop(kept);
            drop(before);
        }
    }

    /// Drops what is kept for a monitor that was changed or deleted.
    pub fn forget(&self, monitor: i64) {
        let before = self.kept().remove(&monitor);
        drop(before);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<i64, Box<dyn Any + Send>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Reuse {
    fn default() -> Self {
        Self::new(Self::MOST)
    }
}

impl fmt::Debug for Reuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reuse").field("kept", &self.kept().len()).field("most", &self.most).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_once_and_only_as_what_it_was() {
        let reuse = Reuse::default();
        reuse.keep(7, "connection".to_owned());
        assert_eq!(reuse.take::<String>(7), Some("connection".to_owned()));
        assert_eq!(reuse.take::<String>(7), None);
        reuse.keep(7, 5_u8);
        assert_eq!(reuse.take::<String>(7), None);
    }

    #[test]
    fn there_are_never_more_than_agreed() {
        let reuse = Reuse::new(2);
        for monitor in 0..5 {
            reuse.keep(monitor, monitor);
        }
        reuse.keep(1, 100_i64);
        assert_eq!((0..5).filter_map(|monitor| reuse.take::<i64>(monitor)).collect::<Vec<_>>(), [0, 100]);
    }
}
