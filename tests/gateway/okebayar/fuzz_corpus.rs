//! Promise 17 on the stable toolchain: the fuzz targets' checks over their corpus.

use std::path::Path;

#[path = "../../../fuzz/checks.rs"]
mod checks;

/// Runs a target's checks over its corpus and over every prefix of each file; over some prefixes of
/// files that are long on purpose.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let is_long = entry.file_name().to_string_lossy().starts_with("long");
        let step = if is_long { 97 } else { 1 };
        let bytes = std::fs::read(entry.path()).unwrap();
        for end in (0..bytes.len()).step_by(step) {
            check(&bytes[..end]);
        }
        check(&bytes);
        count += 1;
    }
    assert!(count > 2, "{}", folder.display());
}

#[test]
fn xml_corpus_passes() {
    replay("xml", checks::xml);
}

#[test]
fn json_corpus_passes() {
    replay("json", checks::json);
}

#[test]
fn query_corpus_passes() {
    replay("query", checks::query);
}

#[test]
fn additional_data_corpus_passes() {
    replay("additional_data", checks::additional_data);
}
