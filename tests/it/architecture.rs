//! The dependency direction of ARCHITECTURE.md, kept by reading the sources.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// The Lambda binary cannot contain an emulator.
#[test]
fn the_root_depends_on_none_of_the_crates() {
    let manifest = format!("\n{}", read("Cargo.toml"));
    // `[dependencies]`, and its like for one kind of target.
    let sections = manifest.split("\n[").filter(|section| {
        let name = section.split_once("]\n").map_or(*section, |(name, _)| name);
        name == "dependencies" || (name.starts_with("target.") && name.ends_with(".dependencies"))
    });
    let dependencies: String = sections.collect();
    assert!(dependencies.contains("aws-sdk-pcs"));
    for name in ["emulator", "pcs-local", "dynoxide", "path ="] {
        assert!(!dependencies.contains(name), "{name}");
    }
}

/// Decisions are functions of their arguments.
#[test]
fn guardrails_do_no_io_and_know_no_clock_environment_or_sdk() {
    for (path, text) in sources("src/guardrails") {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in [
            "aws_",
            "tokio",
            "async ",
            "std::env",
            "std::fs",
            "Instant",
            "SystemTime",
            "Timestamp",
            "tracing",
        ] {
            assert!(!code.contains(word), "{path} uses {word}");
        }
    }
}

#[test]
fn only_lambda_knows_event_types_and_only_pcs_the_sdks_pcs() {
    for (path, text) in sources("src") {
        let name = Path::new(&path).file_name().unwrap().to_str().unwrap();
        assert!(
            !text.contains("aws_lambda_events") || name == "lambda.rs",
            "{path}"
        );
        assert!(
            !text.contains("aws_sdk_pcs") || ["pcs.rs", "aws.rs"].contains(&name),
            "{path}"
        );
        assert!(
            !text.contains("aws_sdk_iam") || path.contains("/src/iam/") || name == "aws.rs",
            "{path}"
        );
    }
}

/// A guard in one file is worth nothing if another can do without it.
#[test]
fn permits_and_opened_records_are_made_in_one_place_each() {
    for (path, text) in sources("src") {
        assert!(
            !text.contains("Permit { call") || path.ends_with("guardrails/mod.rs"),
            "{path}"
        );
        for permit in ["RolePermit {", "AttachmentPermit {"] {
            assert!(
                !text.contains(permit) || path.ends_with("guardrails/node_role.rs"),
                "{path}"
            );
        }
        assert!(
            !text.contains("Opened { _private") || path.ends_with("audit/mod.rs"),
            "{path}"
        );
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    for folder in ["src", "build", "tests/it", "crates"] {
        for (path, text) in sources(folder) {
            assert!(
                text.lines().count() <= 550,
                "{path} has {} lines",
                text.lines().count()
            );
        }
    }
}
