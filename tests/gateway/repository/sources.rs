//! The sources keep their order: no circles, one meaning for each type name, citations that exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::documents::PROMISES;

/// Returns the sources by their path below `src/`.
fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.insert(path.strip_prefix(&root).unwrap().to_owned(), text);
            }
        }
    }
    sources
}

/// Returns a source without its unit tests and comments.
fn code(text: &str) -> String {
    let (code, _) = text
        .split_once("#[cfg(test)]\nmod tests")
        .unwrap_or((text, ""));
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns every path that a `use` tree names, such as `crate::store::Store`.
fn flatten(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let (mut depth, mut start) = (0, 0);
    let mut parts = Vec::new();
    for (at, byte) in tree.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[start..]);
    for part in parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        match part.split_once('{') {
            Some((head, inner)) => {
                let inner = inner.trim_end().trim_end_matches('}');
                flatten(inner, &format!("{prefix}{head}"), paths);
            }
            None => paths.push(format!("{prefix}{part}")),
        }
    }
}

/// Returns the `use` trees of a source: private ones, and with `is_public` those it re-exports.
fn uses(code: &str, is_public: bool) -> Vec<String> {
    let mut paths = Vec::new();
    for statement in code.split(';') {
        let statement = statement.trim_start();
        let start = statement.rfind("\nuse ").map(|at| at + 1);
        let (public, private) = (statement.find("pub use "), start);
        let tree = match (is_public, public, private) {
            (true, Some(at), _) => &statement[at + "pub use ".len()..],
            (false, None, Some(at)) => &statement[at + "use ".len()..],
            (false, None, None) if statement.starts_with("use ") => &statement["use ".len()..],
            _ => continue,
        };
        flatten(tree, "", &mut paths);
    }
    paths
}

/// Returns the file of a module, if it is one.
fn module_file(sources: &BTreeMap<PathBuf, String>, module: &Path) -> Option<PathBuf> {
    let plain = module.with_extension("rs");
    let folder = module.join("mod.rs");
    [plain, folder]
        .into_iter()
        .find(|file| sources.contains_key(file))
}

/// Returns the folder whose modules a file can name with `self`.
fn own_module(file: &Path) -> PathBuf {
    if file.ends_with("mod.rs") || file.ends_with("lib.rs") {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    }
}

/// Returns the file that defines what a path names, through re-exports; `None` outside the crate.
fn defining_file(
    sources: &BTreeMap<PathBuf, String>,
    from: &Path,
    path: &str,
    depth: usize,
) -> Option<PathBuf> {
    let path = path.split(" as ").next()?.trim();
    let mut segments = path.split("::").map(str::trim).peekable();
    let mut module = match segments.next()? {
        "crate" => PathBuf::new(),
        "self" => own_module(from),
        "super" => own_module(from).parent()?.to_owned(),
        first if from.ends_with("mod.rs") => {
            let child = own_module(from).join(first);
            module_file(sources, &child)?;
            child
        }
        _ => return None,
    };
    let mut name = None;
    for segment in segments {
        if segment == "super" {
            module = module.parent()?.to_owned();
        } else if module_file(sources, &module.join(segment)).is_some() && name.is_none() {
            module = module.join(segment);
        } else {
            name = name.or(Some(segment));
        }
    }
    let file = if module.as_os_str().is_empty() {
        PathBuf::from("lib.rs")
    } else {
        module_file(sources, &module)?
    };
    let Some(name) = name.filter(|_| file.ends_with("mod.rs") && depth < 8) else {
        return Some(file);
    };
    let exported = uses(&code(&sources[&file]), true);
    let of_name = |path: &&String| path.rsplit("::").next() == Some(name);
    match exported.iter().find(of_name) {
        Some(path) => defining_file(sources, &file, path, depth + 1).or(Some(file)),
        None => Some(file),
    }
}

/// Returns the files that each file imports.
fn imports(sources: &BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let mut graph = BTreeMap::new();
    for (file, text) in sources {
        let used = uses(&code(text), false);
        let files = used
            .iter()
            .filter_map(|path| defining_file(sources, file, path, 0));
        let others = files.filter(|other| other != file).collect();
        graph.insert(file.clone(), others);
    }
    graph
}

/// Returns a circle of the graph that `at` is on, as the path that leads into it.
fn circle(
    graph: &BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    at: &Path,
    path: &mut Vec<PathBuf>,
    done: &mut BTreeSet<PathBuf>,
) -> Option<Vec<PathBuf>> {
    if let Some(start) = path.iter().position(|file| file == at) {
        return Some(path[start..].to_vec());
    }
    if !done.insert(at.to_owned()) {
        return None;
    }
    path.push(at.to_owned());
    let found = graph[at]
        .iter()
        .find_map(|next| circle(graph, next, path, done));
    path.pop();
    found
}

#[test]
fn no_two_files_import_each_other() {
    let sources = sources();
    let graph = imports(&sources);
    let arrows: usize = graph.values().map(BTreeSet::len).sum();
    assert!(arrows > 1000, "{arrows} imports are read");
    let mut done = BTreeSet::new();
    for file in graph.keys() {
        let found = circle(&graph, file, &mut Vec::new(), &mut done);
        assert!(found.is_none(), "{found:?}");
    }
}

/// Returns the row of each room in the table of `src/lib.rs`, counted from the top.
fn rows_of_rooms() -> BTreeMap<String, usize> {
    let text = super::documents::document("src/lib.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut rooms = BTreeMap::new();
    for (number, row) in rows.enumerate() {
        for room in row.split("[`").skip(1) {
            let (room, _) = room.split_once("`]").unwrap();
            rooms.insert(room.to_owned(), number);
        }
    }
    rooms
}

#[test]
fn rooms_import_only_from_rows_above_their_own() {
    let rows = rows_of_rooms();
    let row_of = |file: &Path| {
        let room = file.iter().next().unwrap();
        let room = Path::new(room).with_extension("");
        rows.get(room.to_str().unwrap()).copied()
    };
    let mut rooms = BTreeSet::new();
    for (file, imported) in imports(&sources()) {
        // `lib.rs` and `main.rs` belong to no room.
        let Some(row) = row_of(&file) else {
            continue;
        };
        rooms.insert(row);
        for other in imported {
            let (from, to) = (file.display(), other.display());
            let is_above = row_of(&other).is_some_and(|other| other <= row);
            assert!(is_above, "{from} imports {to}");
        }
    }
    assert!(rooms.len() > 18, "{rows:?}");
}

#[test]
fn circle_of_imports_is_found() {
    let sources = BTreeMap::from([
        (PathBuf::from("lib.rs"), "pub mod room;".to_owned()),
        (
            PathBuf::from("room/mod.rs"),
            "mod a;\nmod b;\npub use a::A;\npub use b::B;\n".to_owned(),
        ),
        (
            PathBuf::from("room/a.rs"),
            "use super::{\n    b::B,\n};\npub struct A;\n".to_owned(),
        ),
        (
            PathBuf::from("room/b.rs"),
            "use std::fmt;\n\nuse crate::room::A;\npub struct B;\n".to_owned(),
        ),
    ]);
    let graph = imports(&sources);
    let a = Path::new("room/a.rs");
    let found = circle(&graph, a, &mut Vec::new(), &mut BTreeSet::new());
    assert_eq!(found.unwrap(), [a, Path::new("room/b.rs")]);
}

#[test]
fn type_names_have_one_meaning() {
    // Associated types of traits of other crates.
    let foreign = ["Data", "Error", "Future", "Response", "Service"];
    let mut files: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for (file, text) in sources() {
        // The associated types of the generated service traits name the streams of the RPCs.
        if file.ends_with("grpc/services.rs") {
            continue;
        }
        for line in code(&text).lines() {
            let line = line.trim_start();
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line.strip_prefix("pub(super) ").unwrap_or(line);
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            let words: Vec<&str> = line.split_whitespace().take(2).collect();
            if let [kind, name] = words[..]
                && ["struct", "enum", "trait", "type"].contains(&kind)
            {
                let end = name
                    .find(|c: char| !c.is_alphanumeric())
                    .unwrap_or(name.len());
                files
                    .entry(name[..end].to_owned())
                    .or_default()
                    .insert(file.clone());
            }
        }
    }
    assert!(files.len() > 300, "{} types are found", files.len());
    // A macro's types have no name of their own.
    files.retain(|name, files| {
        files.len() > 1 && !name.is_empty() && !foreign.contains(&name.as_str())
    });
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn sources_cite_existing_promises_only() {
    let mut cited = 0;
    for (file, text) in sources() {
        for citation in text.split("romise").skip(1) {
            // "promise 3", "promises 4 and 16", "promises 1, 2, 9".
            let citation = citation.trim_start_matches('s');
            let end = citation.find(|c: char| !c.is_ascii_digit() && !" ,and".contains(c));
            let numbers = citation[..end.unwrap_or(citation.len())]
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|number| number.parse::<usize>().ok());
            for number in numbers {
                assert!((1..=PROMISES).contains(&number), "{}", file.display());
                cited += 1;
            }
        }
    }
    assert!(cited > 30, "{cited}");
}
