//! The generated documents are what the contract and the code say: `make docs` writes them.

use std::{collections::BTreeSet, path::Path};

use prost_reflect::DescriptorPool;

use super::{
    api_page,
    contract::{self, fields, files, is_redacted, pool, services, types},
    documents::document,
    errors_page, markdown,
};

/// With this variable, the tests write the documents instead of comparing them.
const WRITE: &str = "OKEBAYAR_WRITE_DOCS";

/// Compares a generated document with its file, or writes it.
fn verify(name: &str, rendered: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os(WRITE).is_some_and(|value| value == "1") {
        std::fs::write(path, rendered).unwrap();
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    if let Some(difference) = first_difference(&written, rendered) {
        panic!("{name} is out of date ({difference}); run `make docs` and commit it");
    }
}

/// Describes the first line in which a file differs from what is rendered.
fn first_difference(written: &str, rendered: &str) -> Option<String> {
    if written == rendered {
        return None;
    }
    let (mut old, mut new) = (written.lines(), rendered.lines());
    for number in 1.. {
        let (old, new) = (old.next(), new.next());
        if old != new || old.is_none() {
            let [old, new] = [old, new].map(|line| line.unwrap_or("the end"));
            return Some(format!("line {number} is {old:?}, and should be {new:?}"));
        }
    }
    None
}

/// Verifies that the headings of a page are unique and that its links to itself lead to one.
fn verify_links(page: &str) {
    let (headings, links) = markdown::headings_and_links(page);
    let unique: BTreeSet<_> = headings.iter().cloned().collect();
    assert_eq!(unique.len(), headings.len(), "{headings:?}");
    let dead: Vec<_> = links.difference(&unique).collect();
    assert!(dead.is_empty(), "{dead:?}");
}

#[test]
fn api_page_is_current() {
    let page = api_page::render(&pool());
    verify_links(&page);
    verify("docs/API.md", &page);
}

#[test]
fn errors_page_is_current() {
    let page = errors_page::render(&pool());
    verify_links(&page);
    let (anchors, _) = markdown::headings_and_links(&api_page::render(&pool()));
    for link in page.split("](API.md#").skip(1) {
        let (link, _) = link.split_once(')').unwrap();
        assert!(anchors.iter().any(|anchor| anchor == link), "API.md#{link}");
    }
    verify("docs/ERRORS.md", &page);
}

#[test]
fn difference_of_documents_names_its_line() {
    assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    let changed = first_difference("a\nb\n", "a\nc\n").unwrap();
    assert_eq!(changed, r#"line 2 is "b", and should be "c""#);
    let longer = first_difference("a\n", "a\nb\n").unwrap();
    assert_eq!(longer, r#"line 2 is "the end", and should be "b""#);
    assert!(first_difference("a", "a\n").is_some());
}

#[test]
fn api_page_has_every_method_field_and_value() {
    let (pool, page) = (pool(), document("docs/API.md"));
    let mut found = 0;
    for service in services(&pool) {
        for method in service.methods() {
            assert!(page.contains(&format!("\n#### {}\n", method.name())));
            found += 1;
        }
    }
    for file in files(&pool) {
        for named in types(&file) {
            let (_, section) = page
                .split_once(&format!("\n#### {}\n", named.name()))
                .unwrap();
            let section = section.split("\n#").next().unwrap();
            let names: Vec<String> = match &named {
                contract::Type::Message(message) => fields(message)
                    .iter()
                    .map(|field| field.name().to_owned())
                    .collect(),
                contract::Type::Enum(of_values) => of_values
                    .values()
                    .map(|value| value.name().to_owned())
                    .collect(),
            };
            for name in names {
                assert!(section.contains(&format!("`{name}` | ")), "{name}");
                found += 1;
            }
        }
    }
    assert!(found > 300, "{found}");
}

#[test]
fn every_reason_in_the_sources_is_in_the_errors_page() {
    let page = document("docs/ERRORS.md");
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/grpc");
    let mut used = BTreeSet::new();
    for entry in std::fs::read_dir(room).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        // `status` is the only file that builds an error, from reasons of the contract.
        let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((&source, ""));
        if !path.ends_with("status.rs") {
            for other in ["set_error_info", "with_error_details", "Status::new("] {
                assert!(!code.contains(other), "{} uses {other}", path.display());
            }
        }
        for rest in code.split("ErrorReason::").skip(1) {
            let end = rest.find(|next: char| !next.is_alphanumeric());
            used.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    // Not variants of the enum, but its functions.
    used.retain(|name| name.starts_with(char::is_uppercase) && name != "Unspecified");
    assert!(used.len() > 30, "{used:?}");
    for name in used {
        let mut reason = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !reason.is_empty() {
                reason.push('_');
            }
            reason.push(letter.to_ascii_uppercase());
        }
        assert!(page.contains(&format!("\n| `{reason}` | ")), "{reason}");
    }
}

#[test]
fn personal_and_secret_fields_are_redacted() {
    // Field names that identify a person, quote OKEBAYAR's or a person's own text, or are worth
    // money.
    let sensitive = [
        "account_number",
        "account_number2",
        "account_number3",
        "address",
        "contact_number",
        "customer_id",
        "customer_name",
        "info",
        "labels",
        "member_number",
        "meter_number",
        "note",
        "payer_phone",
        "pln_reference",
        "receipt_text",
        "ref1",
        "ref2",
        "ref3",
        "serial_number",
        "subscriber_id",
        "subscriber_name",
        "subscriber_tax_number",
        "switch_reference",
        "unsold_token1",
        "unsold_token2",
        "vendor_reference",
    ];
    let others = [
        ("PstnCustomer", "number"),
        ("Field", "value"),
        ("Evidence", "description"),
    ];
    let mut redacted = 0;
    for file in files(&pool()) {
        for message in file.messages() {
            for field in message.fields() {
                let named = (message.name(), field.name());
                let expected = sensitive.contains(&named.1) || others.contains(&named);
                assert_eq!(is_redacted(&field), expected, "{named:?}");
                redacted += usize::from(expected);
            }
        }
    }
    assert!(redacted > 30, "{redacted}");
}

#[test]
fn baseline_of_buf_breaking_holds_the_contract() {
    // `buf breaking` reports nothing against an empty baseline.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/baseline.binpb");
    let baseline = DescriptorPool::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    let files = files(&baseline);
    assert!(files.len() >= 11, "{files:?}");
    let services = services(&baseline);
    let methods: usize = services.iter().map(|service| service.methods().len()).sum();
    assert!(methods >= 15, "{services:?}");
}
