//! The tests of deciding. Stories show each rule as a time-line that people can read; the model plays random
//! stories against a reference that keeps the whole past; the simulation lets targets break and recover in truth.

mod act;
mod ledger;
mod machine;
mod model;
mod planted;
mod quiet;
mod random;
mod reference;
mod simulation;
mod stories;
mod story;
