//! A hundred thousand random stories against the reference, all invariants looked at after every event.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::machine::{REAL, Rules};
use crate::random;
use crate::story::Story;

/// How many stories are played; `STORIES=1000000` plays more, `SEED=17` only that one.
const STORIES: u64 = 100_000;

#[test]
fn random_stories_go_as_the_reference_says() {
    if let Some(seed) = number("SEED") {
        return random::story(seed).play(REAL, true).unwrap_or_else(|why| panic!("{}", told(REAL, true, seed, &why)));
    }
    let stories = number("STORIES").unwrap_or(STORIES);
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let each = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= stories {
                    return None;
                }
                if let Err(why) = random::story(seed).play(REAL, true) {
                    next.store(stories, Ordering::Relaxed);
                    return Some(told(REAL, true, seed, &why));
                }
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(each)).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("no story panics")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The failure with the shortest story that still shows it, ready to be put among the stories.
fn told(rules: Rules, with_reference: bool, seed: u64, why: &str) -> String {
    let shortest = shortened(rules, with_reference, random::story(seed));
    let (went, outcome) = shortest.as_it_goes(rules);
    format!("seed {seed}: {why}\n\nIn short:\n\n{went}\n{}", outcome.err().unwrap_or_default())
}

/// Leaves out every line that is not needed for the story to go wrong.
fn shortened(rules: Rules, with_reference: bool, mut story: Story) -> Story {
    loop {
        let count = story.lines().count();
        let shorter = (0..count).rev().map(|index| story.without(index));
        let Some(found) = shorter.into_iter().find(|story| story.play(rules, with_reference).is_err()) else {
            return story;
        };
        story = found;
    }
}
