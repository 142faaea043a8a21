//! `call`: the gateway's own client, as people and scripts run it.

use std::process::{Output, Stdio};

use prost_reflect::DescriptorPool;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::support::{
    metrics, ports,
    process::{CANARY_PIN, PATIENCE, Process},
    world::{
        BINARY, CALLBACK_LOST, CONTACT, Gateway, PENDING_FOR_EVER, PENDING_THEN_SUCCESS, PLAIN,
        PRODUCT, SLOW, StoreKind, TWO_BILLS, WATER, World, order, reference,
    },
};

struct Called {
    code: i32,
    out: String,
    err: String,
}

impl Called {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

async fn call_at(address: &str, arguments: &[&str]) -> Called {
    let mut command = Command::new(BINARY);
    command
        .args(["call", "--address", address])
        .args(arguments)
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("the call did not end in time").unwrap();
    let (out, err) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert!(!out.contains(CANARY_PIN) && !err.contains(CANARY_PIN));
    Called {
        code: status.code().unwrap(),
        out,
        err,
    }
}

async fn call(gateway: &Gateway, arguments: &[&str]) -> Called {
    call_at(&format!("http://{}", gateway.grpc), arguments).await
}

/// Calls with a text on standard input, and returns the outcome and the arguments that the list
/// of processes shows.
async fn call_with_input(gateway: &Gateway, arguments: &[&str], input: &str) -> (Called, String) {
    let mut command = Command::new(BINARY);
    let mut child = command
        .args(["call", "--address", &format!("http://{}", gateway.grpc)])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // The process waits for its input. Until the kernel has set its arguments, it shows none.
    let cmdline = format!("/proc/{}/cmdline", child.id().unwrap());
    let listing = async {
        loop {
            let listed = std::fs::read(&cmdline).unwrap();
            if !listed.is_empty() {
                return listed;
            }
            tokio::task::yield_now().await;
        }
    };
    let listed = tokio::time::timeout(PATIENCE, listing).await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.expect("the call did not end in time").unwrap();
    let called = Called {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    (called, String::from_utf8(listed).unwrap())
}

#[tokio::test]
async fn purchase_is_printed_and_its_state_is_the_exit_code() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let purchase = ["purchase-prepaid", &code, PRODUCT, PLAIN];
    let called = call(&gateway, &purchase).await;
    assert_eq!((called.code, called.err.as_str()), (0, ""));
    for line in [
        "transaction:",
        "  account: main",
        &format!("  reference_code: {code}"),
        "  operation: PURCHASE_PREPAID",
        "  state: SUCCEEDED",
        "  terminal: true",
        "  next_step: NONE",
        "  status_code: 000",
        "  price: IDR 10500",
        "  timeline:",
        "    source: ANSWER",
    ] {
        assert!(
            called.out.lines().any(|known| known == line),
            "{line} in {}",
            called.out
        );
    }
    let again = call(&gateway, &[&["--json"][..], &purchase[..]].concat()).await;
    let answer = again.json();
    assert_eq!((again.code, &answer["replayed"]), (0, &Value::Bool(true)));
    let transaction = &answer["transaction"];
    assert_eq!(transaction["state"], "TRANSACTION_STATE_SUCCEEDED");
    assert_eq!(transaction["price"]["units"], "10500");
    assert_eq!(transaction["referenceCode"], code.as_str());

    let other = call(&gateway, &["purchase-prepaid", &code, "PULSA5", PLAIN]).await;
    assert_eq!((other.code, other.out.as_str()), (6, ""));
    assert!(
        other.err.contains(
            "REFERENCE_CODE_REUSED, field=product_code, next_step=READ_TRANSACTION, sent=maybe"
        ),
        "{}",
        other.err
    );
    let failed = call(
        &gateway,
        &["purchase-prepaid", &reference(), PRODUCT, "080000009203"],
    )
    .await;
    assert_eq!(failed.code, 3);
    let open = call(
        &gateway,
        &["purchase-prepaid", &reference(), PRODUCT, PENDING_FOR_EVER],
    )
    .await;
    assert_eq!(open.code, 4);
    let misspelt = call(&gateway, &["purchase-prepaid", &reference(), PRODUCT]).await;
    assert_eq!(misspelt.code, 2);
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn unreachable_gateway_is_an_unknown_outcome_for_money_and_a_refusal_for_a_read() {
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let bought = call_at(&nobody, &["purchase-prepaid", &reference(), PRODUCT, PLAIN]).await;
    assert_eq!(bought.code, 6, "{}", bought.err);
    for question in [
        &["get-balance"][..],
        &["watch-transaction", "reference-1"],
        &["watch-transactions"],
    ] {
        let asked = call_at(&nobody, question).await;
        assert_eq!(asked.code, 1, "{question:?}: {}", asked.err);
        assert!(asked.err.starts_with("error: Unavailable"), "{}", asked.err);
        assert!(asked.err.contains(&nobody), "no address in {}", asked.err);
        assert!(
            asked.err.contains("--address"),
            "no remedy in {}",
            asked.err
        );
    }
    let asked = call_at("nonsense::", &["--json", "get-balance"]).await;
    assert_eq!(asked.code, 1);
    let error: Value = serde_json::from_str(&asked.err).unwrap();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("--address: ")
    );
}

#[tokio::test]
async fn watch_resumes_after_the_gateway_restarts() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .check_rarely()
        .set("grpc.listen", &format!("127.0.0.1:{}", ports::free()));
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let address = format!("http://{}", gateway.grpc);
    let watching = {
        let (address, code) = (address.clone(), code.clone());
        tokio::spawn(async move {
            let purchase = ["purchase-prepaid", &code, PRODUCT, CALLBACK_LOST];
            call_at(
                &address,
                &[&["--json"][..], &purchase[..], &["--watch"]].concat(),
            )
            .await
        })
    };
    // The watch is open; the gateway restarts; then a status check settles the purchase.
    gateway
        .process
        .line(|line| line.contains("\"to\":\"PENDING\"").then_some(()))
        .await;
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
    let gateway = world.start_gateway().await;
    let checking = async { while call(&gateway, &["check-transaction", &code]).await.code == 4 {} };
    let checked = tokio::time::timeout(PATIENCE, checking).await;
    checked.expect("no status check settles the purchase");
    let watched = watching.await.unwrap();
    assert_eq!(watched.code, 0, "{}", watched.err);
    let last: Value = serde_json::from_str(watched.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["transaction"]["state"], "TRANSACTION_STATE_SUCCEEDED");
    let second = watched.out.lines().nth(1).unwrap();
    let second: Value = serde_json::from_str(second).unwrap();
    assert_eq!(
        second["transaction"]["revision"], "3",
        "no revision is printed twice"
    );
    // A final transaction is printed once, although a watch from its last revision receives it
    // again.
    let address = format!("http://{}", gateway.grpc);
    let again = [
        "--json",
        "purchase-prepaid",
        &code,
        PRODUCT,
        CALLBACK_LOST,
        "--watch",
    ];
    let again = call_at(&address, &again).await;
    assert_eq!(
        (again.code, again.out.lines().count()),
        (0, 1),
        "{}",
        again.out
    );
}

#[tokio::test]
async fn resolve_settles_transaction_in_review() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.give_up_after", "300ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    let purchase = ["purchase-prepaid", &code, PRODUCT, PENDING_FOR_EVER];
    let watched = call(&gateway, &[&purchase[..], &["--watch"]].concat()).await;
    assert_eq!(watched.code, 5, "{}", watched.err);
    let open = call(&gateway, &["--json", "get-transaction", &code]).await;
    assert_eq!(open.code, 5);
    let open = open.json();
    let revision = open["transaction"]["revision"].as_str().unwrap();
    let ruling = [
        "resolve-transaction",
        &code,
        "--revision",
        revision,
        "--resolution",
        "succeeded",
        "--operator",
        "siti",
        "--note",
        "ticket 4711",
    ];
    // A token is money: it is never an argument, which a history or a list of processes shows.
    let told = call(
        &gateway,
        &[&ruling[..], &["--serial-number", "55 66"]].concat(),
    )
    .await;
    assert_eq!(told.code, 2, "{}", told.err);
    let file = world.path().join("serial-number");
    let path = file.to_str().unwrap();
    let from_file = [&ruling[..], &["--serial-number-file", path]].concat();
    for (text, problem) in [
        (None, "No such file"),
        (Some(""), "it is empty"),
        (Some(" \n"), "it is empty"),
        (Some("55 66\n77\n"), "it has several lines"),
        (Some(&*"5".repeat(5000)), "it is too long"),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let refused = call(&gateway, &from_file).await;
        assert_eq!(refused.code, 1, "{}", refused.err);
        let told = refused.err;
        assert!(
            told.contains("--serial-number-file: ") && told.contains(problem),
            "{told}"
        );
        assert!(!told.contains("55"), "the error quotes the token: {told}");
    }
    let from_stdin = [&ruling[..], &["--serial-number-file", "-"]].concat();
    let (refused, _) = call_with_input(&gateway, &from_stdin, "\n").await;
    assert_eq!(refused.code, 1, "{}", refused.err);
    let (resolved, listed) = call_with_input(&gateway, &from_stdin, "55 66\n").await;
    assert_eq!(resolved.code, 0, "{}", resolved.err);
    assert!(
        listed.contains("ticket 4711") && !listed.contains("55 66"),
        "{listed}"
    );
    assert!(
        resolved.out.contains("  serial_number: 55 66\n"),
        "{}",
        resolved.out
    );
    assert!(
        resolved.out.contains("    operator: siti\n"),
        "{}",
        resolved.out
    );
}

#[tokio::test]
async fn timeout_beyond_wire_limit_is_rejected_as_argument() {
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    for timeout in ["200000000000h", "8761h", "0s", "-5s", "soon"] {
        let timeout = format!("--timeout={timeout}");
        let called = call_at(&nobody, &["get-balance", &timeout]).await;
        assert_eq!(called.code, 2, "{timeout}: {}", called.err);
        assert!(
            called.err.contains("at most 8760h"),
            "{timeout}: {}",
            called.err
        );
    }
}

#[tokio::test]
async fn health_exits_by_whether_the_gateway_serves() {
    let mut world = World::new(StoreKind::Redis).await;
    let mut gateway = world.start_gateway().await;
    let address = format!("http://{}", gateway.grpc);
    let health = async || {
        let mut command = Command::new(BINARY);
        command
            .args(["health", "--address", &address])
            .kill_on_drop(true);
        command.output().await.unwrap()
    };
    assert!(health().await.status.success());
    world.redis.as_mut().unwrap().kill().await;
    let unwell = async {
        loop {
            let output = health().await;
            if !output.status.success() {
                return String::from_utf8(output.stderr).unwrap();
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, unwell).await.unwrap();
    let wanted =
        format!("error: the gateway at {address} is NOT_SERVING; its /readyz names the reason\n");
    assert_eq!(told, wanted);
    gateway.process.kill().await;
    let output = health().await;
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    let wanted = format!("error: the gateway at {address} does not answer");
    assert!(told.starts_with(&wanted), "{told}");
}

#[tokio::test]
async fn bill_is_inquired_and_paid_from_a_script() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let bill = [
        "inquire-postpaid",
        "HPLNPASCA",
        TWO_BILLS,
        "--contact-number",
        CONTACT,
    ];
    let shown = call(&gateway, &bill).await;
    assert_eq!(shown.code, 0);
    for line in [
        "  total: IDR 108000",
        "    subscriber_name: BUDI & SITI",
        "      incentive: IDR -100",
    ] {
        assert!(
            shown.out.lines().any(|known| known == line),
            "{line} in {}",
            shown.out
        );
    }
    let found = call(&gateway, &[&["--json"][..], &bill[..]].concat())
        .await
        .json();
    let inquiry_code = found["inquiry"]["inquiryCode"].as_str().unwrap();
    let code = reference();
    let pay = |total: &'static str| {
        [
            "pay-postpaid",
            &code,
            inquiry_code,
            "--total",
            total,
            "--account-number",
            TWO_BILLS,
            "--acknowledge-open",
            "an-open-payment-1",
            "--wait-until",
            "terminal",
        ]
    };
    let refused = call(&gateway, &pay("108000.50")).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("TOTAL_MISMATCH"), "{}", refused.err);
    let paid = call(&gateway, &pay("108000")).await;
    assert_eq!(paid.code, 0, "{}", paid.err);
    assert!(
        paid.out.contains("  operation: PAY_POSTPAID\n"),
        "{}",
        paid.out
    );
    assert_eq!(world.ledger(&code).await.executed, 1);

    for (product, customer) in [
        ("HTELEPON", &["--pstn", "021", "5551234"][..]),
        (
            "HBPJSKES",
            &[
                "--bpjs",
                "0001234",
                "--months",
                "2",
                "--payer-phone",
                "0812345",
            ],
        ),
        (WATER, &["12345", "--ref1", "x"]),
    ] {
        let arguments = [
            &["inquire-postpaid", product, "--contact-number", CONTACT],
            customer,
        ];
        let found = call(&gateway, &arguments.concat()).await;
        assert_eq!(found.code, 0, "{product}: {}", found.err);
    }
}

#[tokio::test]
async fn subcommand_of_every_other_rpc_calls_it() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let meter = [
        "inquire-prepaid",
        "HPLNPRA20",
        "14234567895",
        "--reference-code",
        &code,
    ];
    let found = call(&gateway, &[&["--json"][..], &meter[..]].concat())
        .await
        .json();
    assert_eq!(found["inquiry"]["plnPrepaid"]["customerName"], "MELISA");
    let inquiry_code = found["inquiry"]["inquiryCode"].as_str().unwrap();
    let purchase = ["purchase-prepaid", &code, "HPLNPRA20", "14234567895"];
    let purchase = [&purchase[..], &["--inquiry-code", inquiry_code]].concat();
    let guards = ["--max-price", "1000000", "--label", "shop=1"];
    let guards = [&guards[..], &["--expire-time", "2199-01-01T00:00:00Z"]].concat();
    let validated = [&purchase[..], &guards[..], &["--validate-only"]].concat();
    let validated = call(&gateway, &validated).await;
    assert_eq!((validated.code, validated.out.as_str()), (0, "ok\n"));
    let get = ["get-transaction", &code];
    assert_eq!(call(&gateway, &get).await.code, 1, "nothing was stored");
    let stored = [
        &purchase[..],
        &guards[..],
        &["--wait-until", "stored", "--watch"],
    ]
    .concat();
    assert_eq!(call(&gateway, &stored).await.code, 0);
    let kept = call(&gateway, &["--json", "get-inquiry", inquiry_code]).await;
    let kept = kept.json();
    assert_eq!(
        kept["inquiries"][0]["operation"],
        "TRANSACTION_OPERATION_PURCHASE_PREPAID"
    );
    let holder = kept["inquiries"][0]["holderReferenceCode"]
        .as_str()
        .unwrap();
    assert_eq!(holder, code.replace('-', ""));

    let got = call(&gateway, &["--json", "get-transaction", &code])
        .await
        .json();
    let trace_code = got["transaction"]["traceCode"].as_str().unwrap();
    let by_trace = ["--json", "get-transaction", "--trace-code", trace_code];
    assert_eq!(call(&gateway, &by_trace).await.json(), got);
    let checked = call(&gateway, &["--json", "check-transaction", &code])
        .await
        .json();
    assert_eq!(checked["checked"], true);
    let watched = call(&gateway, &["--json", "watch-transaction", &code]).await;
    assert_eq!((watched.code, watched.out.lines().count()), (0, 1));
    let after = [
        "--json",
        "watch-transaction",
        &code,
        "--after-revision",
        "1",
    ];
    let watched = call(&gateway, &after).await;
    assert!(watched.out.lines().count() >= 1);
    let listed = [
        "--json",
        "list-transactions",
        "--state",
        "succeeded",
        "--page-size",
        "5",
    ];
    let listed = [&listed[..], &["--start-time", "2026-01-01T00:00:00Z"]].concat();
    let listed = call(&gateway, &listed).await.json();
    assert_eq!(listed["transactions"].as_array().unwrap().len(), 1);
    let none = call(&gateway, &["list-transactions", "--state", "needs-review"]).await;
    assert_eq!((none.code, none.out.lines().count()), (0, 1));
    assert!(none.out.starts_with("watch_cursor: "), "{}", none.out);
    let balance = call(&gateway, &["get-balance", "--account", "main"]).await;
    assert!(
        balance.out.starts_with("balance: IDR 999979750\n"),
        "{}",
        balance.out
    );
    let echo = call(&gateway, &["echo", "a b", "--timeout", "30s"]).await;
    assert_eq!((echo.code, echo.out.as_str()), (0, "message: a b\n"));
    assert_eq!(
        call(&gateway, &["list-notices", "--page-size", "3"])
            .await
            .code,
        0
    );
    let orphans = ["list-orphan-callbacks", "--page-size", "3"];
    assert_eq!(call(&gateway, &orphans).await.code, 0);
    let unknown = call(&gateway, &["--json", "get-transaction", &reference()]).await;
    assert_eq!(unknown.code, 1);
    let error: Value = serde_json::from_str(&unknown.err).unwrap();
    assert_eq!(error["reason"], "TRANSACTION_NOT_FOUND");
    assert_eq!(error["metadata"]["sent"], "no");
}

#[tokio::test]
async fn list_transactions_has_flag_for_every_filter() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut bought = Vec::new();
    for (number, shop) in [
        (PLAIN, "a b"),
        (PENDING_FOR_EVER, "c=d"),
        ("080000009204", "e"),
    ] {
        let mut request = order(&reference(), number);
        request.labels = [("shop".into(), shop.into()), ("till".into(), "1".into())].into();
        let answer = client.purchase_prepaid(request).await.unwrap();
        bought.push(answer.into_inner().transaction.unwrap());
    }
    let time = bought[1].update_time.unwrap();
    let time = jiff::Timestamp::new(time.seconds, time.nanos).unwrap();
    let (time, since) = (time.to_string(), "2026-01-01T00:00:00Z");
    let cases = [
        (&["--label", "till=1"][..], &[2, 1, 0][..]),
        (&["--label", "till=1", "--label", "shop=c=d"], &[1]),
        (&["--label", "shop=a"], &[]),
        (&["--account-number", PLAIN], &[0]),
        (
            &["--product-code", "NONE", "--product-code", PRODUCT],
            &[2, 1, 0],
        ),
        (&["--product-code", "NONE"], &[]),
        (&["--reason", "wrong-account-number"], &[2]),
        (
            &["--reason", "cancelled", "--reason", "wrong-account-number"],
            &[2],
        ),
        (&["--reason", "cancelled"], &[]),
        (&["--update-start-time", &time, "--state", "pending"], &[1]),
        (&["--update-end-time", &time, "--state", "pending"], &[]),
        (
            &["--update-start-time", since, "--update-end-time", since],
            &[],
        ),
    ];
    for (flags, expected) in cases {
        let listed = call(
            &gateway,
            &[&["--json", "list-transactions"], flags].concat(),
        )
        .await;
        let listed = listed.json();
        let found = listed["transactions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let codes: Vec<&str> = found
            .iter()
            .map(|one| one["referenceCode"].as_str().unwrap())
            .collect();
        let expected: Vec<&str> = expected
            .iter()
            .map(|number: &usize| bought[*number].reference_code.as_str())
            .collect();
        assert_eq!(codes, expected, "{flags:?}");
        assert!(found.iter().all(|one| one.get("timeline").is_none()));
        assert!(listed["watchCursor"].is_string(), "{listed}");
    }
    let of_plain = ["list-transactions", "--account-number", PLAIN];
    let basic = call(&gateway, &of_plain).await;
    assert!(
        basic
            .out
            .contains("\n  labels: shop = a b\n  labels: till = 1\n")
    );
    assert!(!basic.out.contains("  timeline:"), "{}", basic.out);
    assert!(basic.out.contains("\nwatch_cursor: "), "{}", basic.out);
    let full = call(&gateway, &[&of_plain[..], &["--full"]].concat()).await;
    assert!(full.out.contains("  timeline:"), "{}", full.out);
    for (flag, wrong) in [
        ("--label", "shop"),
        ("--label", "=1"),
        ("--reason", "unspecified"),
    ] {
        let called = call(&gateway, &["list-transactions", flag, wrong]).await;
        assert_eq!(called.code, 2, "{flag}: {}", called.out);
    }
    // The gateway reports what the program does not check.
    let called = call(&gateway, &["list-transactions", "--account-number", "1 2"]).await;
    assert_eq!(called.code, 1);
    assert!(called.err.contains("account_number: "), "{}", called.err);
}

/// Returns the subcommand of a method: `purchase-prepaid` of `PurchasePrepaid`.
fn subcommand(method: &str) -> String {
    let mut name = String::new();
    for (at, letter) in method.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[tokio::test]
async fn every_rpc_has_subcommand_of_its_name() {
    let pool = DescriptorPool::decode(okebayar_gateway::grpc::DESCRIPTOR).unwrap();
    let methods: Vec<String> = pool
        .services()
        .filter(|service| service.package_name() == "okebayar.gateway.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| subcommand(method.name()))
        .collect();
    assert!(methods.len() >= 14, "{methods:?}");
    for method in &methods {
        let called = call_at("http://127.0.0.1:1", &[method, "--help"]).await;
        assert_eq!(called.code, 0, "{method}: {}", called.err);
    }
}

#[tokio::test]
async fn watch_of_everything_prints_every_change() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let address = format!("http://{}", gateway.grpc);
    let arguments = [
        "call",
        "--address",
        &address,
        "--json",
        "watch-transactions",
    ];
    let mut watcher = Process::start(BINARY, &arguments, &[], world.path());
    let first: Value = watcher.line(|line| serde_json::from_str(line).ok()).await;
    assert!(first["cursor"].is_string() && first["transaction"].is_null());
    let code = reference();
    call(
        &gateway,
        &["purchase-prepaid", &code, PRODUCT, PENDING_THEN_SUCCESS],
    )
    .await;
    let last = watcher
        .line(|line| {
            let told: Value = serde_json::from_str(line).ok()?;
            let transaction = &told["transaction"];
            let is_last = transaction["referenceCode"] == code.as_str()
                && transaction["state"] == "TRANSACTION_STATE_SUCCEEDED";
            is_last.then(|| told.clone())
        })
        .await;
    assert_ne!(last["cursor"], first["cursor"]);
    watcher.signal("-TERM");
    watcher.ended().await;
}

/// Waits until this many streams of a method have ended with OK.
async fn ended_streams(gateway: &Gateway, method: &str, count: f64) {
    let name = "rpc_server_call_duration_seconds_count";
    let label = format!("TransactionService/{method}\",rpc_response_status_code=\"OK\"");
    metrics::until(gateway, name, &label, |ended| ended >= count).await;
}

#[tokio::test]
async fn watch_of_everything_continues_over_ends_of_streams_without_a_word() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .set("limits.watch_heartbeat", "50ms")
        .set("limits.watch_age", "300ms");
    let gateway = world.start_gateway().await;
    let address = format!("http://{}", gateway.grpc);
    let arguments = [
        "call",
        "--address",
        &address,
        "--json",
        "watch-transactions",
    ];
    let arguments = [&arguments[..], &["--label", "shop=a=b"]].concat();
    let mut watcher = Process::start(BINARY, &arguments, &[], world.path());
    let first: Value = watcher.line(|line| serde_json::from_str(line).ok()).await;
    assert!(first["transaction"].is_null());
    ended_streams(&gateway, "WatchTransactions", 2.0).await;
    let mut client = gateway.client().await;
    for shop in ["a", "a=b"] {
        let mut order = order(&reference(), PLAIN);
        order.labels = [("shop".to_owned(), shop.to_owned())].into();
        client.purchase_prepaid(order).await.unwrap();
    }
    watcher
        .line(|line| line.contains("_SUCCEEDED").then_some(()))
        .await;
    ended_streams(&gateway, "WatchTransactions", 4.0).await;
    let printed = watcher.output();
    let shops: Vec<Value> = printed
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|told: Value| told["transaction"]["labels"]["shop"].clone())
        .collect();
    assert_eq!(shops, [Value::Null, "a=b".into(), "a=b".into()]);
    watcher.signal("-TERM");
    watcher.ended().await;
    let twice = ["watch-transactions", "--label", "a=1", "--label", "a=2"];
    let twice = call(&gateway, &twice).await;
    assert_eq!(twice.code, 1, "{}", twice.err);
    assert!(twice.err.contains("a key is given twice"), "{}", twice.err);
}

#[tokio::test]
async fn watch_until_terminal_prints_review_once_and_waits_for_resolution() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .set("checks.give_up_after", "300ms")
        .set("limits.watch_heartbeat", "50ms")
        .set("limits.watch_age", "300ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    let purchase = ["purchase-prepaid", &code, PRODUCT, PENDING_FOR_EVER];
    // The streams of this watch end by age too, before NEEDS_REVIEW ends it.
    let bought = call(&gateway, &[&purchase[..], &["--watch"]].concat()).await;
    assert_eq!(bought.code, 5, "{}", bought.err);
    let open = call(&gateway, &["--json", "get-transaction", &code]).await;
    let revision = open.json()["transaction"]["revision"].clone();
    let address = format!("http://{}", gateway.grpc);
    let arguments = ["call", "--address", &address, "--json", "watch-transaction"];
    let arguments = [&arguments[..], &[&code, "--until-terminal"]].concat();
    let mut watcher = Process::start(BINARY, &arguments, &[], world.path());
    let review = "TRANSACTION_STATE_NEEDS_REVIEW";
    watcher
        .line(|line| line.contains(review).then_some(()))
        .await;
    let name = "rpc_server_call_duration_seconds_count";
    let label = "TransactionService/WatchTransaction\",rpc_response_status_code=\"OK\"";
    let before = metrics::sum(&metrics::metrics(&gateway).await, name, label);
    ended_streams(&gateway, "WatchTransaction", before + 2.0).await;
    let ruling = [
        "resolve-transaction",
        &code,
        "--revision",
        revision.as_str().unwrap(),
        "--resolution",
        "failed",
        "--operator",
        "siti",
        "--note",
        "ticket 4711",
    ];
    let resolved = call(&gateway, &ruling).await;
    assert_eq!(resolved.code, 3, "{}", resolved.err);
    let status = watcher.ended().await;
    assert_eq!(status.code(), Some(3), "{}", watcher.text());
    let printed = watcher.output();
    assert_eq!(printed.len(), 2, "{printed:#?}");
    assert!(printed[0].contains(review) && printed[1].contains("TRANSACTION_STATE_FAILED"));
}

/// A Python program that runs a command on a new terminal and copies the terminal's output.
const ON_A_TERMINAL: &str = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";

#[tokio::test]
async fn progress_of_a_long_wait_is_shown_on_a_terminal_only() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let slow = ["--settle-after", "2500ms"];
    let user = crate::support::world::USER_ID;
    world.sandbox = Some(world.sandbox_with(world.sandbox_port, user, &slow).await);
    let gateway = world.start_gateway().await;
    let address = format!("http://{}", gateway.grpc);
    let code = reference();
    let call = [
        BINARY,
        "call",
        "--address",
        &address,
        "purchase-prepaid",
        &code,
        PRODUCT,
        SLOW,
    ];
    let mut command = Command::new("python3");
    command.args(["-c", ON_A_TERMINAL]).args(call);
    // CI may leave TERM unset, and no progress is shown on a terminal of no type.
    command.env("TERM", "xterm");
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("the call did not end in time").unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("waiting for the gateway: 1 s"), "{shown:?}");
    assert!(shown.contains("state: SUCCEEDED"), "{shown:?}");
    assert!(output.status.success());
    let code = reference();
    let quiet = call_at(&address, &["purchase-prepaid", &code, PRODUCT, SLOW]).await;
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
}
