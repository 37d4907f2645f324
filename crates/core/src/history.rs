//! Transitions over time: the strip of a day, uptime, lost minutes.
