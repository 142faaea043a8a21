//! The commands as a user runs them: `dev`, `serve`, `serve --check`, `sandbox`, `completions`,
//! `man`.

use std::{collections::BTreeSet, path::Path};

use clap::{CommandFactory, ValueHint};
use okebayar_gateway::{
    cli::Cli,
    config::Settings,
    sandbox::{PRODUCTS, scenario},
};
use tokio::process::Command;
use tonic::{Code, Streaming, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    support::metrics::admin,
    support::{
        process::{CANARY_PIN, PATIENCE, Process},
        redis::Redis,
        world::{
            BINARY, Gateway, PLAIN, StoreKind, World, assert_succeeded, buy, error_info, get,
            order, reference,
        },
    },
};

#[tokio::test]
async fn dev_once_buys_and_prints_every_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Process::start(BINARY, &["dev", "--once"], &[], folder.path());
    assert!(dev.ended().await.success(), "{}", dev.text());
    let told = dev.text();
    let pending = told.find("PENDING").expect("dev prints PENDING");
    let succeeded = told.find("SUCCEEDED").expect("dev prints SUCCEEDED");
    assert!(
        pending < succeeded && told[succeeded..].contains("serial number "),
        "{told}"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "dev leaves files behind"
    );
}

#[tokio::test]
async fn health_and_reflection_list_services() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let endpoint =
        tonic::transport::Endpoint::from_shared(format!("http://{}", gateway.grpc)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    for service in [
        "",
        "okebayar.gateway.v1.TransactionService",
        "okebayar.gateway.v1.AccountService",
    ] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let mut watching = HealthClient::new(channel.clone())
            .watch(request)
            .await
            .unwrap()
            .into_inner();
        while watching.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    }
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(list),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<String> = services
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for name in [
        "okebayar.gateway.v1.TransactionService",
        "okebayar.gateway.v1.AccountService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
}

#[tokio::test]
async fn environment_overrides_the_toml_file() {
    let world = World::new(StoreKind::Embedded).await;
    let pin_file = world.path().join("pin");
    std::fs::write(&pin_file, format!("{CANARY_PIN}\n")).unwrap();
    let toml = format!(
        r#"
[grpc]
listen = "127.0.0.1:1"
[callbacks]
listen = "127.0.0.1:0"
[store]
path = "elsewhere/gateway.redb"
[checks]
delays = ["1m", "2m"]
[accounts.main]
url = "http://127.0.0.1:{}/"
userid = "test-member"
pin_file = "{}"
not_received_codes = ["400"]
"#,
        world.sandbox_port,
        pin_file.display()
    );
    let file = world.path().join("gateway.toml");
    std::fs::write(&file, toml).unwrap();
    let overridden = [(
        "OKEBAYAR_GATEWAY__GRPC__LISTEN".to_owned(),
        "127.0.0.1:0".to_owned(),
    )];
    let arguments = ["serve", "--config", file.to_str().unwrap()];
    let gateway = Gateway::start(&arguments, &overridden, world.path()).await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    assert!(world.path().join("elsewhere/gateway.redb").exists());
}

async fn refused(environment: &[(String, String)], arguments: &[&str], folder: &Path) -> String {
    let mut process = Process::start(BINARY, arguments, environment, folder);
    assert!(!process.ended().await.success(), "{}", process.text());
    process.text()
}

#[tokio::test]
async fn serve_check_prints_every_fault_and_the_remedy() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let mut check = Process::start(
        BINARY,
        &["serve", "--check"],
        &world.environment(),
        world.path(),
    );
    assert!(check.ended().await.success(), "{}", check.text());
    assert!(
        !world.store_file().exists(),
        "serve --check creates a store"
    );

    world
        .set("accounts.main.url", "http://okebayar.example/")
        .set("shutdown.drain", "1s");
    world.set("limits.queue", "many").set("store.pth", "x");
    let told = refused(&world.environment(), &["serve", "--check"], world.path()).await;
    for key in ["accounts.main.url: ", "limits.queue: ", "store.pth: "] {
        assert!(told.contains(key), "{told}");
    }
    let told = refused(&[], &["serve"], world.path()).await;
    assert!(
        told.contains("accounts: no OKEBAYAR account is configured"),
        "{told}"
    );
}

#[tokio::test]
async fn start_is_rejected_when_redis_may_evict() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let redis = Redis::start_with(folder.path(), &options).await;
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world
        .set("store.kind", "redis")
        .set("store.url", &redis.url);
    let told = refused(&world.environment(), &["serve"], world.path()).await;
    assert!(told.contains("set maxmemory-policy noeviction"), "{told}");
}

/// Waits until the health service reports a status of the gateway as a whole.
async fn health_becomes(health: &mut Streaming<HealthCheckResponse>, wanted: ServingStatus) {
    let reported = async { while health.message().await.unwrap().unwrap().status() != wanted {} };
    tokio::time::timeout(PATIENCE, reported)
        .await
        .unwrap_or_else(|_| panic!("the health never became {wanted:?}"));
}

#[tokio::test]
async fn claim_is_rejected_while_store_may_evict() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.grpc)).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    let watching = health.watch(HealthCheckRequest::default()).await;
    let mut health = watching.unwrap().into_inner();
    health_becomes(&mut health, ServingStatus::Serving).await;
    let before = buy(&mut client, &reference(), PLAIN).await;
    assert_succeeded(&before);

    let policy = async |name| {
        let set = ["CONFIG", "SET", "maxmemory-policy", name];
        world.redis.as_ref().unwrap().command(&set).await;
    };
    policy("allkeys-lru").await;
    health_becomes(&mut health, ServingStatus::NotServing).await;
    let (status, problem) = admin(&gateway, "/readyz").await;
    assert_eq!(status, 503);
    assert!(
        problem.contains("set maxmemory-policy noeviction"),
        "{problem}"
    );
    let codes = [reference(), reference(), reference()];
    for code in &codes {
        let refused = client.purchase_prepaid(order(code, PLAIN)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert_eq!(error_info(&refused).0, "STORE_UNAVAILABLE", "{refused}");
        assert_eq!(world.ledger(code).await.received, 0);
    }
    // Reads are still answered.
    assert_eq!(
        get(&mut client, &before.reference_code).await.unwrap(),
        before
    );

    policy("noeviction").await;
    health_becomes(&mut health, ServingStatus::Serving).await;
    assert_eq!(admin(&gateway, "/readyz").await, (200, "ready\n".into()));
    for code in &codes {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
}

#[tokio::test]
async fn store_is_refused_when_it_belongs_to_another_member() {
    for kind in [StoreKind::Embedded, StoreKind::Redis] {
        let mut world = World::without_sandbox(kind).await;
        let mut gateway = world.start_gateway().await;
        gateway.process.kill().await;
        world.set("accounts.main.userid", "another-member");
        let told = refused(&world.environment(), &["serve"], world.path()).await;
        assert!(told.contains("account:main"), "{told}");
    }
}

#[tokio::test]
async fn embedded_store_is_refused_while_another_process_has_it_open() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let _first = world.start_gateway().await;
    world.set("callbacks.listen", "127.0.0.1:0");
    let told = refused(&world.environment(), &["serve"], world.path()).await;
    assert!(
        told.contains("store.path") && told.contains("gateway.redb"),
        "{told}"
    );
}

#[tokio::test]
async fn sandbox_names_the_variable_when_the_pin_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let told = refused(&[], &["sandbox", "--listen", "127.0.0.1:0"], folder.path()).await;
    assert!(told.contains("OKEBAYAR_SANDBOX_PIN"), "{told}");
}

/// Runs a command that prints one text and succeeds.
async fn printed(arguments: &[&str]) -> String {
    let output = Command::new(BINARY).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns every subcommand but `help`, after building so that each has its global flags.
fn subcommands() -> Vec<clap::Command> {
    fn add(all: &mut Vec<clap::Command>, command: &clap::Command) {
        for below in command.get_subcommands() {
            all.push(below.clone());
            add(all, below);
        }
    }
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut all = Vec::new();
    add(&mut all, &program);
    all
}

/// Returns the flags of a command: `--json`.
fn flags(command: &clap::Command) -> BTreeSet<String> {
    let longs = command.get_arguments().filter_map(clap::Arg::get_long);
    longs.map(|long| format!("--{long}")).collect()
}

/// Completes the last word in a bash that has sourced the script.
async fn completed_by_bash(script: &Path, words: &[&str]) -> BTreeSet<String> {
    const COMPLETE: &str = r#"
        source "$1" || exit
        function=$(complete -p okebayar-gateway | sed 's/.* -F \([^ ]*\) .*/\1/')
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["-c", COMPLETE, "bash"])
        .arg(script)
        .arg("okebayar-gateway")
        .args(words);
    let output = bash.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn bash_completes_every_subcommand_every_flag_and_every_enumerated_value() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("okebayar-gateway.bash");
    std::fs::write(&script, printed(&["completions", "bash"]).await).unwrap();
    let mut values_seen = 0;
    for command in subcommands() {
        let path = command.get_bin_name().unwrap();
        let words: Vec<&str> = path.split(' ').skip(1).collect();
        let (name, above) = words.split_last().unwrap();
        let completed = completed_by_bash(&script, &[above, &[*name]].concat()).await;
        assert!(completed.contains(*name), "{path}: {completed:?}");
        let completed = completed_by_bash(&script, &[&words[..], &["--"]].concat()).await;
        assert_eq!(completed, flags(&command), "{path}");
        for flag in command.get_opts() {
            let name = format!("--{}", flag.get_long().unwrap());
            let values: BTreeSet<String> = flag
                .get_possible_values()
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect();
            let completed = completed_by_bash(&script, &[&words[..], &[&*name, ""]].concat()).await;
            if !values.is_empty() {
                assert_eq!(completed, values, "{path} {name}");
                values_seen += values.len();
            } else if flag.get_value_hint() == ValueHint::Other {
                assert_eq!(completed, BTreeSet::from([String::new()]), "{path} {name}");
            }
        }
    }
    // States, resolutions and the methods of callbacks.
    assert_eq!(values_seen, 8 + 3 + 2);
    let shells = completed_by_bash(&script, &["completions", ""]).await;
    for shell in ["bash", "zsh", "fish"] {
        assert!(shells.contains(shell), "{shells:?}");
    }
}

#[tokio::test]
async fn zsh_and_fish_complete_every_subcommand_and_every_flag_of_a_purchase() {
    let all = subcommands();
    let path = "okebayar-gateway call purchase-prepaid";
    let purchase = all.iter().find(|one| one.get_bin_name() == Some(path));
    let flags = flags(purchase.unwrap());
    assert!(flags.contains("--inquiry-code") && flags.contains("--address"));

    let zsh = printed(&["completions", "zsh"]).await;
    assert!(zsh.starts_with("#compdef okebayar-gateway\n"));
    let (_, section) = zsh.split_once("(purchase-prepaid)\n").unwrap();
    let (section, _) = section.split_once(";;").unwrap();
    for flag in &flags {
        let is_there = [format!("'{flag}["), format!("'{flag}=[")];
        assert!(
            is_there.iter().any(|text| section.contains(text)),
            "{flag}: {section}"
        );
    }
    let (_, states) = zsh.split_once("'*--state=[").unwrap();
    let (states, _) = states.split_once("))'").unwrap();
    for state in [
        "sending",
        "pending",
        "confirming",
        "succeeded",
        "failed",
        "not-sent",
    ] {
        assert!(states.contains(&format!("{state}\\:")), "{state}: {states}");
    }

    let fish = printed(&["completions", "fish"]).await;
    let using = "__fish_okebayar_gateway_using_subcommand call; and \
                 __fish_seen_subcommand_from purchase-prepaid\" ";
    let section: Vec<&str> = fish.lines().filter(|line| line.contains(using)).collect();
    for flag in &flags {
        let flag = format!(" -l {} ", flag.trim_start_matches("--"));
        assert!(
            section.iter().any(|line| line.contains(&flag)),
            "{flag}: {section:?}"
        );
    }
    for command in all {
        let name = command.get_name();
        assert!(zsh.contains(&format!("'{name}:")), "{name}");
        assert!(fish.contains(&format!(" -a \"{name}\" ")), "{name}");
    }
}

#[tokio::test]
async fn man_page_describes_every_subcommand_and_every_flag() {
    // Hyphens are escaped, so that none is broken at the end of a line.
    let page = printed(&["man"]).await.replace("\\-", "-");
    let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
    assert!(title.starts_with(".TH okebayar-gateway 1 "), "{title}");
    let (overview, _) = page.split_once("\n.SH \"OKEBAYAR-GATEWAY").unwrap();
    for command in subcommands() {
        let path = command.get_bin_name().unwrap();
        assert!(overview.contains(&format!("\\fB{path}\\fR\n")), "{path}");
        let heading = format!("\n.SH \"{}\"\n", path.to_uppercase());
        let (_, section) = page.split_once(&heading).expect(path);
        let section = section.split("\n.SH ").next().unwrap();
        let about = command.get_about().unwrap().to_string();
        assert!(section.contains(&about), "{path}: {section}");
        let (_, options) = section.split_once("\n.SS OPTIONS\n").expect(path);
        for flag in flags(&command) {
            assert!(
                options.contains(&format!("\\fB{flag}\\fR")),
                "{path} {flag}"
            );
        }
    }
    for line in [
        "3  no money is spent: FAILED, NOT_SENT or REVERSED",
        "5  an operator",
    ] {
        assert!(page.contains(line), "{line}");
    }
}

fn document(name: &str) -> String {
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
const PROMISES: usize = 18;

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
fn sources_cite_existing_promises_only() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut cited = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for citation in text.split("romise").skip(1) {
                // "promise 3", "promises 4 and 16", "promises 1, 2, 9".
                let citation = citation.trim_start_matches('s');
                let end = citation.find(|c: char| !c.is_ascii_digit() && !" ,and".contains(c));
                let numbers = citation[..end.unwrap_or(citation.len())]
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|number| number.parse::<usize>().ok());
                for number in numbers {
                    assert!((1..=PROMISES).contains(&number), "{}", path.display());
                    cited += 1;
                }
            }
        }
    }
    assert!(cited > 30, "{cited}");
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
