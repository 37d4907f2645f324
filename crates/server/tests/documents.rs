//! What the documents say of the tree is true: links lead somewhere, named paths exist, shown settings load.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::database::Database;
use crate::support::watchbell::Home;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project's folder")
}

/// Every Markdown file of the project, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone(), root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() && folder != root {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "md") {
                let text = fs::read_to_string(&path).expect("a document");
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 10, "only {} documents were found", found.len());
    found
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        let folder = path.parent().expect("a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:") && !folder.join(file).exists()
            {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let root = root();
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let paths: Vec<&str> =
        text.split('`').skip(1).step_by(2).filter(|it| it.starts_with("crates/") || it.starts_with("docs/")).collect();
    assert!(paths.len() > 15, "only {} paths are named", paths.len());
    let missing: Vec<&str> = paths.into_iter().filter(|path| !root.join(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // The map names files below the folder above them.
    let map = text.split("```text").nth(1).and_then(|rest| rest.split("```").next()).expect("the map");
    let mut folder = PathBuf::new();
    for line in map.lines().filter(|line| !line.trim().is_empty()) {
        let name = line.split_whitespace().next().expect("a name");
        if !line.starts_with(' ') {
            folder = root.join(name);
            assert!(folder.is_dir(), "{name} is no folder");
            continue;
        }
        let inside = if folder.join("src").is_dir() { folder.join("src") } else { folder.clone() };
        assert!(inside.join(name).exists(), "{} has no {name}", folder.display());
    }
}

#[test]
fn the_settings_of_the_guide_load_as_they_stand() {
    let text = fs::read_to_string(root().join("docs/guide/five-minutes.md")).expect("the guide");
    let shown = text.split("```yaml").nth(1).and_then(|rest| rest.split("```").next()).expect("settings");
    let settings: Vec<&str> = shown.lines().map(|line| line.strip_prefix("   ").unwrap_or(line)).collect();
    let home = Home::new(Database::Sqlite, &settings.join("\n"));
    let file = home.configuration().display().to_string();
    let output = home.run(&["config", "check", "--config", &file]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("4 monitors, 3 channels"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_readme_shows_the_two_commands_that_do_all_the_set_up() {
    let text = fs::read_to_string(root().join("README.md")).expect("the README");
    assert!(text.contains("cargo run --release") && text.contains("cargo xtask test"));
}
