//! Which addresses may be reached: one rule for probes, channels and their redirects.
