//! The walls of the house: who may know whom, and what stands in one room only.
//!
//! Each check is a function from text to complaints that say what to do, and is itself tried on a
//! text that breaks its rule. No servers are needed.

#![expect(clippy::expect_used, reason = "a failed test")]

use std::{collections::BTreeSet, fs, path::Path};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Every room and the rooms it may name. What is not listed is a wall.
const ROOMS: &[(&str, &[&str])] = &[
    (
        "postcall",
        // Itself: tests run the binary with other features.
        &[
            "activities",
            "contract",
            "postcall",
            "postcall-client",
            "providers",
            "schedules",
            "store",
            "workflows",
        ],
    ),
    ("schedules", &["contract", "workflows"]),
    ("workflows", &["contract"]),
    ("activities", &["contract", "providers", "store"]),
    ("store", &["contract"]),
    ("providers", &["contract"]),
    ("contract", &[]),
    // What customers use knows the API by its document alone.
    ("postcall-client", &[]),
    ("client-generator", &[]),
];

/// Dependencies that only some rooms may have. What tests alone use is not looked at.
const TOOLS: &[(&str, &[&str])] = &[
    ("axum", &["postcall"]),
    ("clap", &["postcall"]),
    ("object_store", &["store"]),
    ("redis", &["store"]),
    // `postcall` talks to its own API and to its children; third parties are the providers'.
    ("reqwest", &["postcall", "postcall-client", "providers"]),
    ("sqlx", &["store"]),
    ("temporalio-client", &["postcall", "schedules"]),
    ("temporalio-sdk", &["activities", "postcall"]),
    ("tokio", &["activities", "postcall", "postcall-client", "providers", "store"]),
];

/// Words of code that stand in some places only.
const WORDS: &[Word] = &[
    Word {
        word: "sqlx::",
        places: &["store/"],
        fix: "SQL lives in `store`: write a function there and call it",
    },
    Word {
        word: "env::var",
        // A harness hands the environment on to the processes that it starts; Cargo says by it what is built.
        places: &["build.rs", "src/config.rs", "tests/"],
        fix: "read it in src/config.rs and pass the typed value",
    },
    Word {
        word: "env::home_dir",
        places: &["src/config.rs"],
        fix: "read it in src/config.rs and pass the typed value",
    },
    Word {
        word: "reqwest",
        places: &["client/", "providers/", "src/cli/", "src/dev/", "tests/"],
        fix: "third parties are reached by a client in `providers`",
    },
    Word {
        word: "unimplemented!",
        places: &["workflows/contract/"],
        fix: "only declared activities have no body; write it",
    },
    Word { word: "todo!", places: &[], fix: "write it, or leave it out" },
];

/// Hard stop of a file's length in lines; half of it is the aim.
const LONGEST_FILE: usize = 600;
/// Made from the OpenAPI document, and read by nobody.
const GENERATED: &str = "client/src/generated/";

struct Word {
    word: &'static str,
    /// Paths from the workspace's root; a folder ends with a slash.
    places: &'static [&'static str],
    fix: &'static str,
}

#[test]
fn rooms_know_only_whom_they_may() {
    none(dependencies(&metadata()).iter().flat_map(wrong_directions));
}

#[test]
fn tools_stay_in_their_rooms() {
    none(dependencies(&metadata()).iter().flat_map(misplaced_tools));
}

#[test]
fn words_stay_in_their_places() {
    none(sources().iter().flat_map(|(path, text)| misplaced_words(path, text)));
}

#[test]
fn files_are_short() {
    let written = sources();
    let written = written.iter().filter(|(path, _)| !path.starts_with(GENERATED));
    none(written.filter_map(|(path, text)| too_long(path, text)));
}

#[test]
fn readme_says_what_each_dependency_is_for() {
    let metadata = metadata();
    let rooms = dependencies(&metadata);
    let named = rooms.iter().flat_map(|room| room.normal.iter().chain(&room.development));
    let direct: BTreeSet<&str> = named.map(String::as_str).filter(|name| !is_room(name)).collect();
    none(unexplained(&direct, &read("README.md")));
}

#[test]
fn every_setting_is_explained() {
    none(unexplained_settings(&read("src/config.rs"), &read(".env.example")));
}

#[test]
fn openapi_json_is_what_the_code_says() {
    let made = postcall::api::openapi().to_pretty_json().expect("the document is JSON");
    assert!(
        read("openapi.json").trim_end() == made.trim_end(),
        "openapi.json is not what the code says. If the change of the API is wanted:\n  \
         cargo run -- openapi >openapi.json"
    );
}

/// What one crate of the workspace depends on.
struct Room {
    name: String,
    /// Also those of build scripts.
    normal: Vec<String>,
    development: Vec<String>,
}

fn is_room(name: &str) -> bool {
    ROOMS.iter().any(|(room, _)| *room == name)
}

fn wrong_directions(room: &Room) -> Vec<String> {
    let name = &room.name;
    let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| room == name) else {
        return vec![format!(
            "{name} is a new room: say in ROOMS of tests/walls.rs whom it may name"
        )];
    };
    let named = room.normal.iter().chain(&room.development);
    let wrong = named.filter(|other| is_room(other) && !allowed.contains(&other.as_str()));
    wrong.map(|other| format!("{name} must not name {other}: it may name {allowed:?}")).collect()
}

fn misplaced_tools(room: &Room) -> Vec<String> {
    let name = room.name.as_str();
    let wrong = TOOLS.iter().filter(|(tool, rooms)| {
        room.normal.iter().any(|dependency| dependency == tool) && !rooms.contains(&name)
    });
    wrong.map(|(tool, rooms)| format!("{name} must not depend on {tool}: {rooms:?} may")).collect()
}

fn misplaced_words(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let mut complaints = Vec::new();
    for Word { word, places, fix } in WORDS {
        let at_home =
            |place: &&str| path == *place || place.ends_with('/') && path.starts_with(place);
        if places.iter().any(at_home) {
            continue;
        }
        let lines = code.lines().enumerate().filter(|(_, line)| line.contains(word));
        complaints.extend(lines.map(|(line, _)| format!("{path}:{}: `{word}`: {fix}", line + 1)));
    }
    complaints
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LONGEST_FILE).then(|| {
        format!("{path} has {lines} lines, more than {LONGEST_FILE}: split it by operation")
    })
}

/// Compares the rows of README's table of dependencies with the manifests, both ways.
fn unexplained(direct: &BTreeSet<&str>, readme: &str) -> Vec<String> {
    let table = readme.split_once("\n## Dependencies\n").map_or("", |(_, after)| after);
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter_map(|line| {
        let (name, purpose) = line.strip_prefix("| `")?.split_once("` |")?;
        (!purpose.trim_matches(['|', ' ']).is_empty()).then_some(name)
    });
    let rows: Vec<&str> = rows.collect();
    let explained: BTreeSet<&str> = rows.iter().copied().collect();
    let missing = direct
        .difference(&explained)
        .map(|name| format!("README, Dependencies: add the line | `{name}` | what it is for |"));
    let stale = explained
        .difference(direct)
        .map(|name| format!("README, Dependencies: no crate depends on {name}: remove its line"));
    let twice = (rows.len() != explained.len())
        .then(|| "README, Dependencies: a dependency has two lines: keep one".to_owned());
    missing.chain(stale).chain(twice).collect()
}

/// Compares our own settings as the code spells them with the example file, both ways.
fn unexplained_settings(config: &str, example: &str) -> Vec<String> {
    let (config, _tests) = config.split_once("#[cfg(test)]").unwrap_or((config, ""));
    let known = own_settings(config);
    let assigned = example.lines().filter_map(|line| Some(line.split_once('=')?.0));
    let assigned: BTreeSet<&str> = assigned.filter(|name| name.starts_with("POSTCALL_")).collect();
    let missing = known
        .iter()
        .filter(|name| !assigned.contains(name.as_str()))
        .map(|name| format!(".env.example: explain {name} and add the line {name}=…"));
    let stale = assigned
        .iter()
        .filter(|name| !known.contains(**name))
        .map(|name| format!(".env.example: src/config.rs knows no {name}: remove it"));
    missing.chain(stale).collect()
}

fn own_settings(config: &str) -> BTreeSet<String> {
    let after = config.split("\"POSTCALL_").skip(1);
    let name = |rest: &str| rest.split('"').next().map(|end| format!("POSTCALL_{end}"));
    // The bare prefix is what the check for unknown settings looks for.
    after.filter_map(name).filter(|name| name != "POSTCALL_").collect()
}

/// The text with comments and literals blanked out, its lines kept.
fn code(text: &str) -> String {
    let mut left = text;
    let mut code = String::with_capacity(text.len());
    while let Some(first) = left.chars().next() {
        let blank = length_of_blank(left, code.ends_with(is_of_a_name));
        let (part, rest) = left.split_at(if blank > 0 { blank } else { first.len_utf8() });
        if blank > 0 {
            code.extend(part.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            code.push_str(part);
        }
        left = rest;
    }
    code
}

/// How many bytes of comment or literal `text` begins with.
fn length_of_blank(text: &str, within_a_name: bool) -> usize {
    let up_to = |skip: usize, end: &str| {
        let rest = text.get(skip..).unwrap_or_default();
        rest.find(end).map_or(text.len(), |at| skip + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return up_to(2, "*/");
    }
    if let Some(literal) = text.strip_prefix('"') {
        return 1 + length_of_quoted(literal, '"');
    }
    if let (false, Some(raw)) = (within_a_name, text.strip_prefix('r')) {
        let hashes = raw.chars().take_while(|c| *c == '#').count();
        if raw[hashes..].starts_with('"') {
            return up_to(2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    // A character, and not a lifetime: `'x'`, `'\n'`.
    let mut chars = text.strip_prefix('\'').unwrap_or_default().chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => 1 + length_of_quoted(&text[1..], '\''),
        (Some(one), Some('\'')) => 2 + one.len_utf8(),
        _ => 0,
    }
}

/// Up to and with the closing quote.
fn length_of_quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file of the workspace: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace can be read") {
            let entry = entry.expect("an entry can be read");
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if path.is_dir() && !hidden && !is_target(&path) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("it lies in the workspace");
                let text = fs::read_to_string(&path).expect("a source file is UTF-8");
                files.push((name.to_string_lossy().into_owned(), text));
            }
        }
    }
    assert!(files.len() > 100, "only {} source files were found: look where they are", files.len());
    files
}

/// Cargo marks its folder, wherever it lies.
fn is_target(folder: &Path) -> bool {
    folder.join("CACHEDIR.TAG").exists()
}

fn metadata() -> Metadata {
    // Without the crates of others, so that no network is needed.
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata")
}

fn dependencies(metadata: &Metadata) -> Vec<Room> {
    let rooms = metadata.workspace_packages();
    let room = |package: &&cargo_metadata::Package| {
        let of = |development: bool| {
            let kind = |kind| (kind == DependencyKind::Development) == development;
            let dependencies = package.dependencies.iter().filter(|it| kind(it.kind));
            dependencies.map(|dependency| dependency.name.clone()).collect()
        };
        Room { name: package.name.to_string(), normal: of(false), development: of(true) }
    };
    rooms.iter().map(room).collect()
}

fn none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Each check finds what breaks its rule.
mod checks {
    use super::*;

    fn room(name: &str, normal: &[&str], development: &[&str]) -> Room {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Room { name: name.to_owned(), normal: own(normal), development: own(development) }
    }

    #[test]
    fn a_wrong_direction_is_found() {
        assert!(wrong_directions(&room("store", &["contract", "serde"], &[])).is_empty());
        let wrong = wrong_directions(&room("workflows", &["contract", "activities"], &["store"]));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("workflows must not name activities"), "{wrong:?}");
        assert_eq!(wrong_directions(&room("providers", &["postcall"], &[])).len(), 1);
        assert_eq!(wrong_directions(&room("contract", &["store"], &[])).len(), 1);
        assert!(wrong_directions(&room("attic", &[], &[]))[0].contains("a new room"));
    }

    #[test]
    fn a_misplaced_tool_is_found_unless_only_tests_use_it() {
        let tools = ["tokio", "sqlx", "reqwest", "redis"];
        for name in ["workflows", "contract"] {
            assert_eq!(misplaced_tools(&room(name, &tools, &[])).len(), tools.len());
        }
        assert!(misplaced_tools(&room("workflows", &[], &["tokio"])).is_empty());
        assert!(misplaced_tools(&room("store", &["sqlx", "redis", "tokio"], &[])).is_empty());
    }

    #[test]
    fn a_misplaced_word_is_found_in_code_only() {
        let text = "// sqlx::query\nlet s = \"todo!()\";\nlet x = sqlx::query(sql);\n";
        let found = misplaced_words("activities/src/a.rs", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("activities/src/a.rs:3: `sqlx::`"), "{found:?}");
        assert!(misplaced_words("store/src/a.rs", text).is_empty());
        let body = "fn f() { std::env::var_os(\"A\"); unimplemented!() }\nfn g() { todo!() }";
        assert_eq!(misplaced_words("src/api/a.rs", body).len(), 3);
        assert_eq!(misplaced_words("src/config.rs", body).len(), 2);
        assert_eq!(misplaced_words("src/config.rs.rs", body).len(), 3);
        assert_eq!(misplaced_words("workflows/contract/src/a.rs", body).len(), 2);
        // What the compiler puts in is not read at run time.
        assert!(misplaced_words("src/a.rs", "env!(\"A\"); option_env!(\"B\");").is_empty());
        assert_eq!(misplaced_words("src/receiver/a.rs", "reqwest::get(url)").len(), 1);
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "a /* b\nc */ d \"e \\\" f\" r#\"g \" h\"# 'i' '\\'' &'j str bar\"k\" // l\nm";
        let words: Vec<String> = code(text).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["a", "d", "&'j", "str", "bar", "m"]);
        assert_eq!(code(text).lines().count(), text.lines().count());
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(too_long("a.rs", &"x\n".repeat(LONGEST_FILE)).is_none());
        assert!(too_long("a.rs", &"x\n".repeat(LONGEST_FILE + 1)).is_some());
    }

    #[test]
    fn an_unexplained_dependency_and_a_stale_line_are_found() {
        let readme = "# x\n| `url` | before |\n\n## Dependencies\n\n| crate | for |\n|---|---|\n\
            | `serde` | JSON |\n| `bytes` | |\n| `gone` | was used |\n\n## Next\n| `hex` | x |\n";
        let direct = BTreeSet::from(["serde", "bytes", "hex", "url"]);
        let found = unexplained(&direct, readme);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.iter().any(|text| text.contains("`bytes`")), "{found:?}");
        assert!(found.iter().any(|text| text.contains("no crate depends on gone")), "{found:?}");
    }

    #[test]
    fn an_unexplained_setting_and_a_stale_one_are_found() {
        let config = "[\"POSTCALL_A\", \"POSTCALL_B\"] \"POSTCALL_\" #[cfg(test)] \"POSTCALL_T\"";
        assert!(unexplained_settings(config, "POSTCALL_A=1\nPOSTCALL_B=\n").is_empty());
        let found = unexplained_settings(config, "# POSTCALL_A\nPOSTCALL_B=\nPOSTCALL_C=\n");
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
