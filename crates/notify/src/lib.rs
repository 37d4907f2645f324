//! Tells people. One file per channel; what composing is stands here, and one file sends.
