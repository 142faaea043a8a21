//! The documents agree with the program and the tests.

use std::path::Path;

use okebayar_gateway::{
    config::Settings,
    sandbox::{PRODUCTS, scenario},
};

/// Reads a document of the repository.
pub fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn readme_lists_every_scenario_and_product() {
    let readme = document("README.md");
    for row in &scenario::SCENARIOS {
        let line = format!("| `{}` | {} |", row.account_number, row.description);
        assert!(readme.contains(&line), "{line}");
    }
    assert!(readme.contains(scenario::CODE_PREFIX));
    for (product, _) in PRODUCTS {
        assert!(readme.contains(&format!("`{product}`")), "{product}");
    }
}

#[test]
fn documented_configuration_keys_and_defaults_are_real() {
    // A row: | `key` | default | meaning |.
    let text = document("docs/CONFIGURATION.md");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`'));
            (cells.nth(1).unwrap(), cells.next().unwrap())
        });
    // Only one store can be configured: Redis, which has more keys.
    let required = [
        ("store.kind", "redis"),
        ("store.url", "redis://localhost"),
        ("accounts.main.url", "https://okebayar.example/"),
        ("accounts.main.userid", "member"),
        ("accounts.main.pin", "1234"),
    ];
    let embedded = ["store.path", "store.must_exist"];
    let defaults = rows.filter(|(key, default)| *default != "none" && !embedded.contains(key));
    let all: std::collections::BTreeMap<&str, &str> = defaults.chain(required).collect();
    assert!(all.len() > 30, "{all:?}");
    let read = |pairs: Vec<(&str, &str)>| {
        let owned = pairs
            .into_iter()
            .map(|(key, value)| (key, value.to_owned()));
        let settings = Settings::from_pairs(owned).unwrap_or_else(|faults| panic!("{faults}"));
        format!("{settings:?}")
    };
    assert_eq!(read(all.into_iter().collect()), read(required.to_vec()));
}

/// The number of promises in docs/RELIABILITY.md, counted from 1.
pub const PROMISES: usize = 18;

#[test]
fn reliability_page_states_tests_and_limits_of_every_promise() {
    let text = document("docs/RELIABILITY.md");
    let (_, promises) = text.split_once("\n## The promises\n").unwrap();
    let (promises, _) = promises.split_once("\n## ").unwrap();
    let sections: Vec<&str> = promises.split("\n### ").skip(1).collect();
    assert_eq!(sections.len(), PROMISES);
    for (number, section) in (1..).zip(sections) {
        let title = format!("Promise {number}: ");
        assert!(section.starts_with(&title), "{title}{section}");
        for part in ["\n- Rests on: ", "\n- Shown by: `", "\n- Not covered:"] {
            assert!(section.contains(part), "{title}{part}");
        }
        let (_, shown_by) = section.split_once("\n- Shown by: ").unwrap();
        let (shown_by, _) = shown_by.split_once("\n- Not covered:").unwrap();
        assert!(shown_by.contains("::"), "{title}{shown_by}");
    }
}

#[test]
fn reliability_page_names_only_existing_tests() {
    let text = document("docs/RELIABILITY.md");
    let named = text.split('`').filter_map(|code| code.rsplit_once("::"));
    let named: Vec<_> = named
        .filter(|(file, _)| !["", "store"].contains(file) && !file.starts_with(char::is_uppercase))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for (file, test) in named {
        let source = if file.starts_with("src/") {
            document(file)
        } else {
            document(&format!("tests/gateway/{}.rs", file.replace("::", "/")))
        };
        assert!(source.contains(&format!("fn {test}(")), "{file}::{test}");
    }
}

#[test]
fn every_alert_has_a_unit_test_and_a_row_in_the_operations_page() {
    let rules = document("helm/okebayar-gateway/rules/okebayar-gateway.yaml");
    let (tests, page) = (
        document("tests/data/alerts_test.yaml"),
        document("docs/OPERATIONS.md"),
    );
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert}");
        assert!(page.contains(&format!("| `{alert}` |")), "{alert}");
    }
}
