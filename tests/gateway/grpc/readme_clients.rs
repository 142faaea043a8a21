//! The README's client examples in other languages, executed verbatim with code generated from
//! `proto/`.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{
    process::PATIENCE,
    world::{Gateway, PENDING_THEN_SUCCESS, StoreKind, World, get, reference},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the folder of the tools that `.ci/install-tools` installed.
fn tools() -> PathBuf {
    let tools = root().join("target/tools");
    assert!(
        tools.exists(),
        "run `make tools` first: the examples need what it installs"
    );
    tools
}

/// Returns the first code block of a language below a heading of the README.
fn example(heading: &str, language: &str) -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n### {heading}\n")).unwrap();
    let (_, block) = section.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// Creates a folder with the contract and one program, as a caller has it.
fn folder(program: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("proto"), folder.path().join("proto")).unwrap();
    std::fs::write(folder.path().join(program), text).unwrap();
    folder
}

async fn run(mut command: Command) -> String {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("the command timed out").unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{out}\n{err}");
    out
}

/// Builds a command line of the README whose packages are installed already.
fn shell(line: &str, folder: &Path) -> Command {
    let mut path = tools().join("python/bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", path)
        .env("NODE_PATH", tools().join("node_modules"));
    command
}

/// Returns the command lines of a section except the first, which installs packages.
fn commands(heading: &str, gateway: &Gateway, code: &str) -> Vec<String> {
    let lines = example(heading, "sh");
    let line = |line: &str| {
        let words = line.split(' ').map(|word| {
            if word.starts_with("localhost:") {
                gateway.grpc.to_string()
            } else if word.starts_with("order-") {
                code.to_owned()
            } else {
                word.to_owned()
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    lines.lines().skip(1).map(line).collect()
}

async fn buys_and_follows(heading: &str, language: &str, program: &str) {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let code = reference();
    let folder = folder(program, &example(heading, language));
    let mut printed = String::new();
    for line in commands(heading, &gateway, &code) {
        printed = run(shell(&line, folder.path())).await;
        assert!(!line.contains(program) || line.contains(PENDING_THEN_SUCCESS));
    }
    let bought = get(&mut gateway.client().await, &code).await.unwrap();
    assert_eq!(
        printed,
        format!("TRANSACTION_STATE_SUCCEEDED {}\n", bought.serial_number)
    );
    assert!(!bought.serial_number.is_empty());
    assert_eq!(world.ledger(&code).await.executed, 1);
}

#[tokio::test]
async fn python_example_buys_and_watches() {
    buys_and_follows("Python", "python", "buy.py").await;
}

#[tokio::test]
async fn node_example_buys_and_watches() {
    buys_and_follows("Node", "js", "buy.js").await;
}
