//! The callers in `examples/`, executed by the two commands of their READMEs, and the scenarios that
//! each of them must master.

mod scripted;
mod scripted_gateway;

use std::{
    fs,
    path::{Path, PathBuf},
};

use okebayar_gateway::grpc::v1::CheckTransactionRequest;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{
    metrics, ports,
    process::{PATIENCE, Process},
    world::{
        ANSWER_AND_CALLBACK_LOST, CALLBACK_LOST, Gateway, PENDING_THEN_SUCCESS, PLAIN, PRODUCT,
        StoreKind, World, buy, get, reference,
    },
};

pub use scripted::{
    explains_error_without_next_step, refunds_or_calls_again, watch_stops_without_cursor,
    watch_survives_interruptions,
};

/// The folder of the contract.
const CONTRACT: &str = "proto/okebayar/gateway/v1";

/// A caller in a folder of its own, ready to run.
pub struct Caller {
    folder: TempDir,
    /// The folder of the caller in the repository, such as `examples/python`.
    source: String,
    /// The command that runs the program, without its arguments.
    program: String,
}

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

/// Copies the files of a folder, without what a build left in its subfolders.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Returns the two commands of a caller's README, the second without its arguments, and asserts that it shows the command to watch.
pub fn commands(source: &str) -> (String, String) {
    let path = root().join(source).join("README.md");
    let readme = fs::read_to_string(path).unwrap();
    let (_, block) = readme.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("\n```").unwrap();
    let (prepare, run) = block.split_once('\n').unwrap();
    assert!(!run.contains('\n'), "more than two commands: {block}");
    let (program, arguments) = run.split_once(" buy ").unwrap();
    let (address, rest) = arguments.split_once(' ').unwrap();
    assert_eq!(address, "localhost:50051", "{run}");
    let (code, order) = rest.split_once(' ').unwrap();
    assert!(code.starts_with("order-"), "{run}");
    assert_eq!(order, format!("{PRODUCT} {PENDING_THEN_SUCCESS}"), "{run}");
    let bare = program.strip_prefix("GRPC_GO_RETRY=on ").unwrap_or(program);
    assert!(readme.contains(&format!("`{bare} watch localhost:50051`")));
    (prepare.to_owned(), program.to_owned())
}

impl Caller {
    /// Prepares the caller in this language, a folder of `examples/`: copies it to a folder of its
    /// own, and runs the first command of its README.
    pub async fn prepared(language: &str) -> Self {
        let source = format!("examples/{language}");
        let folder = tempfile::tempdir().unwrap();
        for copied in [source.as_str(), CONTRACT, ".ci"] {
            copy(&root().join(copied), &folder.path().join(copied));
        }
        let (prepare, program) = commands(&source);
        let caller = Self {
            folder,
            source,
            program,
        };
        if prepare == "npm install" {
            // The test uses no network: `make tools` installs the same packages.
            assert_packages_are_installed();
        } else {
            let mut preparing = caller.shell(&prepare);
            let status = preparing.ended().await;
            assert!(status.success(), "{prepare}:\n{}", preparing.text());
        }
        caller
    }

    /// Replaces the service config by one that repeats nothing.
    pub fn without_retries(self) -> Self {
        let contract = self.folder.path().join(CONTRACT);
        fs::write(contract.join("service_config.json"), "{}").unwrap();
        self
    }

    fn shell(&self, line: &str) -> Process {
        let mut path = tools().join("python/bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let node = tools().join("node_modules").into_os_string();
        let environment = [("PATH", path), ("NODE_PATH", node)]
            .map(|(name, value)| (name.to_owned(), value.into_string().unwrap()));
        let folder = self.folder.path().join(&self.source);
        Process::start("bash", &["-c", line], &environment, &folder)
    }

    /// Starts the second command of the README, for this purchase.
    pub fn buy(&self, address: &str, reference_code: &str, account_number: &str) -> Process {
        let arguments = format!("buy {address} {reference_code} {PRODUCT} {account_number}");
        self.shell(&format!("{} {arguments}", self.program))
    }

    /// Starts the watch of everything, from a cursor if there is one.
    fn watch(&self, address: &str, cursor: &str) -> Process {
        self.shell(&format!("{} watch {address} {cursor}", self.program))
    }
}

/// Asserts that `make tools` installed the packages that the Node caller names.
fn assert_packages_are_installed() {
    let read = |path: PathBuf| -> Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let named = read(root().join("examples/node/package.json"));
    for (package, version) in named["dependencies"].as_object().unwrap() {
        let installed = tools().join("node_modules").join(package);
        assert_eq!(&read(installed.join("package.json"))["version"], version);
    }
}

/// Creates a world whose gateway restarts on the same address, and that address.
async fn restarting_world() -> (World, String) {
    let mut world = World::new(StoreKind::Embedded).await;
    let address = format!("127.0.0.1:{}", ports::free());
    world
        .set("grpc.listen", &address)
        // The new process waits for the end of the old process's POST (scaled down).
        .set("accounts.main.timeout", "1s")
        .set("limits.queue_timeout", "500ms")
        .set("store.timeout", "2s");
    (world, address)
}

/// Waits until the caller's program ends well.
async fn assert_ends_well(program: &mut Process) {
    let status = program.ended().await;
    assert!(status.success(), "{}", program.text());
}

/// Asserts the result that the caller prints, and that OKEBAYAR executed one purchase.
async fn assert_bought_once(world: &World, gateway: &Gateway, program: &Process, code: &str) {
    let bought = get(&mut gateway.client().await, code).await.unwrap();
    assert!(!bought.serial_number.is_empty(), "{bought:#?}");
    let printed = program.output();
    let tail = [
        format!("{code} SUCCEEDED, NONE: done"),
        format!("serial number: {}", bought.serial_number),
        "refund the customer: false".to_owned(),
    ];
    for line in tail.iter().map(String::as_str).chain(["replayed: true"]) {
        assert!(
            printed.iter().any(|found| found == line),
            "{line}: {printed:#?}"
        );
    }
    let ledger = world.ledger(code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

/// Buys, replays, follows the purchase to its end, and reads the error of a reused reference code.
pub async fn buys_and_replays(caller: &Caller) {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let (address, code) = (gateway.grpc.to_string(), reference());
    let mut program = caller.buy(&address, &code, PENDING_THEN_SUCCESS);
    assert_ends_well(&mut program).await;
    let first = program.output().swap_remove(0);
    assert_eq!(first, format!("{code} PENDING, WAIT: wait for the outcome"));
    assert_bought_once(&world, &gateway, &program, &code).await;

    let mut other = caller.buy(&address, &code, PLAIN);
    assert_eq!(other.ended().await.code(), Some(1), "{}", other.text());
    let error = "error REFERENCE_CODE_REUSED, sent=maybe, READ_TRANSACTION: read the transaction";
    assert_eq!(other.text(), error);
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// Follows a purchase over a crash of the gateway, from the last revision.
pub async fn resumes_after_revision(caller: &Caller) {
    let (mut world, address) = restarting_world().await;
    // Only the check that the test requests settles the purchase.
    world.check_rarely();
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let mut program = caller.buy(&address, &code, CALLBACK_LOST);
    metrics::until(&gateway, "okebayar_watchers", "", |count| count >= 1.0).await;
    gateway.process.kill().await;
    let interrupted = "watch interrupted, resuming after revision ";
    let revision = program
        .line(|line| line.strip_prefix(interrupted)?.parse::<i64>().ok())
        .await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, &code).await.unwrap().revision, revision);
    metrics::until(&gateway, "okebayar_watchers", "", |count| count >= 1.0).await;
    let request = CheckTransactionRequest {
        reference_code: code.clone(),
        ..CheckTransactionRequest::default()
    };
    client.check_transaction(request).await.unwrap();
    assert_ends_well(&mut program).await;
    assert_bought_once(&world, &gateway, &program, &code).await;
}

/// Lists, then watches everything over a crash of the gateway, from the last cursor.
pub async fn lists_watches_and_resumes(caller: &Caller) {
    let (world, address) = restarting_world().await;
    let mut gateway = world.start_gateway().await;
    let codes = [reference(), reference(), reference()];
    let bought = |code: &str| {
        let succeeded = format!("{code} SUCCEEDED, NONE: done");
        move |line: &str| (line == succeeded).then_some(())
    };
    buy(&mut gateway.client().await, &codes[0], PLAIN).await;
    let mut program = caller.watch(&address, "");
    program.line(bought(&codes[0])).await;
    metrics::until(&gateway, "okebayar_watchers", "", |count| count >= 1.0).await;
    buy(&mut gateway.client().await, &codes[1], PLAIN).await;
    program.line(bought(&codes[1])).await;
    gateway.process.kill().await;
    let interrupted = "watch interrupted, resuming from the cursor";
    let is_interrupted = |line: &str| (line == interrupted).then_some(());
    program.line(is_interrupted).await;
    // The purchase may come before the watch is open again: the cursor covers it.
    let gateway = world.start_gateway().await;
    buy(&mut gateway.client().await, &codes[2], PLAIN).await;
    program.line(bought(&codes[2])).await;
    // A resumed watch does not repeat what it reported.
    let printed = program.output();
    for code in &codes {
        let found = printed.iter().filter(|line| bought(code)(line).is_some());
        assert_eq!(found.count(), 1, "{printed:#?}");
    }
}

/// Ends the program after a listing, and starts it again from the cursor that it printed.
pub async fn restarts_from_printed_cursor(caller: &Caller) {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let (address, mut client) = (gateway.grpc.to_string(), gateway.client().await);
    let codes = [reference(), reference(), reference(), reference()];
    let (last, listed) = codes.split_last().unwrap();
    for code in listed {
        buy(&mut client, code, PLAIN).await;
    }
    let mut program = caller.watch(&address, "");
    let cursor = program
        .line(|line| line.strip_prefix("cursor ").map(str::to_owned))
        .await;
    let printed = program.output();
    program.kill().await;
    let at = printed.iter().position(|line| line.starts_with("cursor "));
    for code in listed {
        let before = &printed[..at.unwrap()];
        assert!(
            before.iter().any(|line| line.starts_with(code)),
            "{printed:#?}"
        );
    }

    buy(&mut client, last, PLAIN).await;
    let mut program = caller.watch(&address, &cursor);
    let succeeded = format!("{last} SUCCEEDED, NONE: done");
    program.line(|line| (line == succeeded).then_some(())).await;
    let printed = program.text();
    assert!(
        !listed.iter().any(|code| printed.contains(code.as_str())),
        "{printed}"
    );
}

/// Calls while no gateway runs. The service config alone bridges the start.
pub async fn purchase_waits_for_gateway(caller: &Caller) {
    let (world, address) = restarting_world().await;
    let listener = TcpListener::bind(&address).await.unwrap();
    let code = reference();
    let mut program = caller.buy(&address, &code, PLAIN);
    // The caller has tried, and its connection is closed at once.
    let tried = tokio::time::timeout(PATIENCE, listener.accept()).await;
    drop(tried.expect("the caller never connected").unwrap());
    drop(listener);
    let gateway = world.start_gateway().await;
    assert_ends_well(&mut program).await;
    assert_bought_once(&world, &gateway, &program, &code).await;
}

/// Kills the gateway while OKEBAYAR processes the POST, and starts it again. The service config
/// alone repeats the call, which ends with the transaction.
pub async fn purchase_survives_crash_during_post(caller: &Caller) {
    let (world, address) = restarting_world().await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let mut program = caller.buy(&address, &code, ANSWER_AND_CALLBACK_LOST);
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    assert_eq!(program.output(), Vec::<String>::new());
    gateway.process.kill().await;
    let gateway = world.start_gateway().await;
    assert_ends_well(&mut program).await;
    assert_bought_once(&world, &gateway, &program, &code).await;
}

/// Shows that the caller has no retry loop: without the service config the crash ends the call.
pub async fn purchase_fails_without_service_config(caller: &Caller) {
    let (world, address) = restarting_world().await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let mut program = caller.buy(&address, &code, ANSWER_AND_CALLBACK_LOST);
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    gateway.process.kill().await;
    assert_eq!(program.ended().await.code(), Some(1), "{}", program.text());
    let error = "error UNAVAILABLE, sent=maybe, RETRY_SAME_REFERENCE: ";
    assert!(program.text().starts_with(error), "{}", program.text());
}
