//! Asks the world. One file per kind; what asking is stands here.
