//! Plays every story and compares it with how it went. `UPDATE=1` writes down how it went; read what changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::REAL;
use crate::story::Story;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let entries = fs::read_dir(&folder).expect("the folder of stories is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "story"));
    files.sort();
    files
}

#[test]
fn stories_go_as_they_are_told() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in files() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let told = fs::read_to_string(&path).expect("a story can be read");
        let (went, outcome) = Story::parse(&told).as_it_goes(REAL);
        if let Err(why) = outcome {
            wrong.push(format!("{name} breaks a rule: {why}\n\n{went}"));
        } else if went != told && update {
            fs::write(&path, went).expect("a story can be written");
        } else if went != told {
            let first = went.lines().zip(told.lines().chain(std::iter::repeat(""))).find(|(went, told)| went != told);
            wrong.push(format!("{name} went otherwise, first at {first:?}:\n\n{went}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE=1 writes the stories as they went)", wrong.join("\n\n"));
}

#[test]
fn there_is_a_story_for_every_rule() {
    assert!(files().len() >= 30, "only {} stories are left", files().len());
}
