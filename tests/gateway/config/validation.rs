//! Configuration that would break a promise is rejected at start; risky but permitted configuration
//! is warned about.

use std::os::unix::fs::symlink;

use crate::support::{
    process::Process,
    world::{BINARY, StoreKind, World},
};

/// Returns the success and the output of `serve --check`.
async fn check(world: &World) -> (bool, String) {
    check_in(world, &world.environment()).await
}

async fn check_in(world: &World, environment: &[(String, String)]) -> (bool, String) {
    let arguments = ["serve", "--check"];
    let mut process = Process::start(BINARY, &arguments, environment, world.path());
    let ended = process.ended().await;
    (ended.success(), process.text())
}

/// Asserts that a value is rejected with these words, and that a secret value is not quoted.
async fn assert_refused(world: &mut World, key: &str, value: &str, words: &[&str]) {
    world.set(key, value);
    let (can_be_used, output) = check(world).await;
    assert!(!can_be_used, "{key} = {value:?}: {output}");
    for word in words {
        assert!(
            output.contains(word),
            "{word} of {key} = {value:?}: {output}"
        );
    }
    world.unset(key);
}

#[tokio::test]
async fn empty_secret_is_rejected() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let key = "accounts.main.callback_secret";
    let empty = "must not be empty";
    for value in ["", " ", "\n", "\r\n\t"] {
        assert_refused(&mut world, key, value, &[&format!("{key}: "), empty]).await;
        let file = world.path().join("secret");
        std::fs::write(&file, value).unwrap();
        let named = format!("{key}_file: ");
        let path = file.display().to_string();
        assert_refused(&mut world, &format!("{key}_file"), &path, &[&named, empty]).await;
        let mut pin = World::without_sandbox(StoreKind::Embedded).await;
        assert_refused(&mut pin, "accounts.main.pin", value, &[empty]).await;
    }
    let missing = world.path().join("missing").display().to_string();
    let folder = world.path().display().to_string();
    for unreadable in [missing.as_str(), &folder, ""] {
        let words = ["cannot be read: ", "name a readable file"];
        assert_refused(&mut world, &format!("{key}_file"), unreadable, &words).await;
    }
    let dangling = world.path().join("dangling");
    symlink(&missing, &dangling).unwrap();
    let dangling = dangling.display().to_string();
    assert_refused(
        &mut world,
        &format!("{key}_file"),
        &dangling,
        &["cannot be read"],
    )
    .await;
    assert!(check(&world).await.0, "without any it can be used");
}

#[tokio::test]
async fn short_or_unsafe_callback_secret_is_rejected() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let key = "accounts.main.callback_secret";
    let remedy = "openssl rand -hex 16";
    for (value, problem) in [
        ("0123456789abcde", "shorter than 16 characters"),
        (
            "0123456789abcdef/x",
            "contains characters that must be escaped in a URL",
        ),
        (
            "0123456789abcdef%41",
            "contains characters that must be escaped in a URL",
        ),
        (
            "0123456789abcdef+",
            "contains characters that must be escaped in a URL",
        ),
        (
            "0123456789abcdef=",
            "contains characters that must be escaped in a URL",
        ),
        (
            "0123456789abcdef?a",
            "contains characters that must be escaped in a URL",
        ),
    ] {
        let words = [format!("{key}: {problem}"), remedy.to_owned()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_refused(&mut world, key, value, &words).await;
        world.set(key, value);
        assert!(!check(&world).await.1.contains(value), "it quotes {value}");
        world.unset(key);
    }
    for (value, problem) in [
        ("0123456789 abcdef", "must not contain white space"),
        (" 0123456789abcdef", "must not contain white space"),
        ("0123456789abcdef\nPIN=1", "must not contain white space"),
        ("0123456789abcdefé", "not printable ASCII"),
        (&"a".repeat(257), "longer than 256 bytes"),
    ] {
        assert_refused(&mut world, key, value, &[problem]).await;
    }
    // The callback address appears in logs of third parties.
    world.set("accounts.main.pin", "0123456789abcdef");
    assert_refused(&mut world, key, "0123456789abcdef", &["equals the PIN"]).await;
    for value in [
        "0123456789abcdeF",
        "0123456789abcdeF\n",
        "a.b_c~d-0123456789",
    ] {
        world.set(key, value);
        let (can_be_used, output) = check(&world).await;
        assert!(can_be_used, "{value:?}: {output}");
    }
}

#[tokio::test]
async fn trusted_callbacks_require_secret_or_allow_list() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.set("accounts.main.callback_trusted", "true");
    let (can_be_used, output) = check(&world).await;
    assert!(!can_be_used, "{output}");
    for word in [
        "accounts.main.callback_trusted: ",
        "accounts.main.callback_secret_file",
        "callbacks.allow",
        "openssl rand -hex 16",
    ] {
        assert!(output.contains(word), "{word}: {output}");
    }
    for everybody in ["0.0.0.0/0", "203.0.113.7, 0.0.0.0/1", "::/0"] {
        let words = ["accounts.main.callback_trusted: "];
        assert_refused(&mut world, "callbacks.allow", everybody, &words).await;
    }
    for (key, value) in [
        ("callbacks.allow", "203.0.113.0/24"),
        ("accounts.main.callback_secret", "0123456789abcdef"),
    ] {
        world.set(key, value);
        assert!(check(&world).await.0, "{key} is enough");
        world.unset(key);
    }
}

#[tokio::test]
async fn sender_lists_open_to_everyone_are_rejected() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    for value in ["", " ", ","] {
        let words = ["callbacks.allow: must not be empty"];
        assert_refused(&mut world, "callbacks.allow", value, &words).await;
    }
    for value in ["203.0.113.0/33", "203.0.113", "::ffff:203.0.113.7"] {
        assert_refused(&mut world, "callbacks.allow", value, &["callbacks.allow: "]).await;
    }
    for value in ["0.0.0.0/0", "::/0", "10.0.0.0/8, 0.0.0.0/1"] {
        let words = ["callbacks.trusted_proxies: ", "forge the sender"];
        assert_refused(&mut world, "callbacks.trusted_proxies", value, &words).await;
    }
}

#[tokio::test]
async fn hyphenated_account_in_environment_is_rejected() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.rename_account("main", "my-shop");
    world
        .unset("accounts.my-shop.pin")
        .unset("accounts.my-shop.userid");
    let (can_be_used, output) = check(&world).await;
    assert!(!can_be_used, "{output}");
    assert!(output.contains("accounts.my-shop.pin_file"), "{output}");
    assert!(!output.contains("MY-SHOP"), "no shell sets it: {output}");
    world.rename_account("my-shop", "main");
    let (_, output) = check(&world).await;
    assert!(
        output.contains("OKEBAYAR_GATEWAY__ACCOUNTS__MAIN__PIN"),
        "{output}"
    );
}

#[tokio::test]
async fn code_with_documented_meaning_is_rejected_as_never_received() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let key = "accounts.main.not_received_codes";
    for (code, meaning) in [
        ("000", "success"),
        ("001", "serial number not available yet"),
        ("002", "pending"),
        ("003", "re-queued"),
        ("099", "undocumented, not final"),
        ("100", "undocumented, not final"),
        ("199", "undocumented, not final"),
        ("201", "biller or operator trouble"),
        ("202", "server trouble"),
        ("206", "bad format"),
        ("207", "authentication"),
        ("208", "duplicate"),
        ("211", "invalid signature"),
        ("212", "IP address not registered"),
        ("213", "user id invalid"),
        ("214", "request expired"),
        ("240", "unidentified error"),
        ("241", "transaction code unknown"),
        ("401", "inquiry already paid or invalid"),
        ("510", "invalid re-hit request"),
    ] {
        let words = [format!("{key}: {code} "), meaning.to_owned()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_refused(&mut world, key, &format!("400,{code}"), &words).await;
    }
    for code in [
        "200", "203", "204", "205", "210", "215", "232", "400", "404", "500", "777",
    ] {
        world.set(key, code);
        let (can_be_used, output) = check(&world).await;
        assert!(can_be_used, "{code}: {output}");
    }
    world.set(key, "404, 777");
    let words = [format!("{key}: 777 is also listed in failed_codes")];
    assert_refused(
        &mut world,
        "accounts.main.failed_codes",
        "777",
        &[&words[0]],
    )
    .await;
}

#[tokio::test]
async fn time_below_safe_minimum_requires_opt_in() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.unset("allow_short_times");
    let floored = [
        ("checks.not_received_after", "9m59s", "10m"),
        ("checks.doubtful_gap", "59s", "1m"),
        ("store.clock_skew", "999ms", "1s"),
        ("store.failover_guard", "59m", "1h"),
        ("limits.watch_heartbeat", "999ms", "1s"),
        ("limits.watch_age", "59s", "1m"),
        ("limits.connection_age", "59s", "1m"),
    ];
    for (key, _, enough) in floored {
        world.set(key, enough);
    }
    let (can_be_used, output) = check(&world).await;
    assert!(can_be_used, "{output}");
    assert!(!output.contains("allow_short_times"), "{output}");
    for (key, short, enough) in floored {
        let words = [format!("{key}: "), "allow_short_times = true".to_owned()];
        assert_refused(&mut world, key, short, &[&words[0], &words[1]]).await;
        world.set(key, short).set("allow_short_times", "true");
        let (can_be_used, output) = check(&world).await;
        assert!(can_be_used, "{key}: {output}");
        let warned = output.contains("warning: allow_short_times: ");
        assert!(warned, "--check names the opt-in: {output}");
        world.unset("allow_short_times").set(key, enough);
    }
    world.set("store.failover_guard", "0s");
    assert!(check(&world).await.0, "0s switches the guard off");
    let words = ["checks.age_max: ", "use at most 720h"];
    assert_refused(&mut world, "checks.age_max", "721h", &words).await;
    for key in [
        "accounts.main.timeout",
        "store.timeout",
        "limits.queue_timeout",
    ] {
        assert_refused(&mut world, key, "2000000000000h", &[key]).await;
    }
}

#[tokio::test]
async fn value_that_breaks_every_call_is_rejected() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    for (key, value) in [
        ("accounts.main.userid", ""),
        ("accounts.main.userid", "  "),
        ("accounts.main.userid", "member "),
        ("accounts.main.userid", "mem\tber"),
        ("accounts.main.transactioncode_prepaid", ""),
        (
            "accounts.main.transactioncode_check",
            " OkeBayar-cek-status",
        ),
        ("accounts.main.transactioncode_check", "okebayar-PRABAYAR"),
        ("accounts.main.transactioncode_check", "OkeBayar-inquiry"),
        ("accounts.main.transactioncode_balance", "OkeBayar-prabayar"),
        ("accounts.main.transactioncode_echo", "OkeBayar-inquiry"),
        ("accounts.main.transactioncode_inquiry", "OkeBayar-prabayar"),
        // The sandbox's URL is plain http on loopback.
        ("accounts.main.proxy", "http://192.0.2.1:3128"),
        ("accounts.main.url", "https://user:pass@okebayar.example/"),
        ("accounts.main.url", "https://user@okebayar.example/"),
        ("accounts.main.url", "https://okebayar.example/#part"),
        ("accounts.main.url", "https://okebayar.example:0/"),
        ("store.path", ""),
        ("default_account", ""),
    ] {
        let before = world.environment();
        world.set(key, value);
        let (can_be_used, output) = check(&world).await;
        assert!(!can_be_used, "{key} = {value:?}: {output}");
        assert!(output.contains(key), "{key} = {value:?}: {output}");
        assert!(!output.contains("pass@"), "{output}");
        let variable = |key: &str| key.to_ascii_uppercase().replace('.', "__");
        let name = format!("OKEBAYAR_GATEWAY__{}", variable(key));
        match before.into_iter().find(|(known, _)| *known == name) {
            Some((_, value)) => drop(world.set(key, &value)),
            None => drop(world.unset(key)),
        }
    }
    assert!(check(&world).await.0);
}

#[tokio::test]
async fn password_in_toml_file_is_rejected_and_masked() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let file = world.path().join("gateway.toml");
    let toml = "[store]\nkind = \"redis\"\nurl = \"redis://:hush-hush@redis:6379\"\n\
                [accounts.main]\nproxy = \"http://me:hush-hush@proxy:3128\"\n";
    std::fs::write(&file, toml).unwrap();
    let arguments = ["serve", "--check", "--config", file.to_str().unwrap()];
    let mut process = Process::start(BINARY, &arguments, &[], world.path());
    process.add_secret("hush-hush".to_owned());
    assert!(!process.ended().await.success());
    let output = process.text();
    for key in ["store.url", "accounts.main.proxy"] {
        let problem = format!("{key}: passwords are not allowed in the TOML file");
        assert!(output.contains(&problem), "{output}");
    }
    assert!(output.contains("accounts.main.proxy_file"), "{output}");
    let toml = toml.replace("accounts.main", "accounts.my-shop");
    std::fs::write(&file, toml).unwrap();
    let mut process = Process::start(BINARY, &arguments, &[], world.path());
    process.add_secret("hush-hush".to_owned());
    assert!(!process.ended().await.success());
    let output = process.text();
    assert!(output.contains("accounts.my-shop.proxy_file"), "{output}");
    assert!(
        !output.contains("MY-SHOP__PROXY"),
        "no shell sets it: {output}"
    );
}

#[tokio::test]
async fn proxy_given_twice_or_in_unusable_file_is_rejected() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let key = "accounts.main.proxy_file";
    let file = world.path().join("proxy");
    let path = file.display().to_string();
    for (text, problem) in [
        ("", "accounts.main.proxy_file: not the URL of a proxy"),
        (
            "ftp://me:hush-hush@proxy",
            "accounts.main.proxy_file: not the URL of a proxy",
        ),
        // The sandbox's URL is plain http on loopback.
        (
            "http://me:hush-hush@192.0.2.1:3128",
            "accounts.main.proxy: plain http",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_refused(&mut world, key, &path, &[problem]).await;
    }
    std::fs::write(&file, "http://me:hush-hush@127.0.0.1:3128\n").unwrap();
    assert_refused(&mut world, key, "/missing", &["cannot be read"]).await;
    world.set("accounts.main.proxy", "http://127.0.0.1:3128");
    assert_refused(&mut world, key, &path, &["set twice"]).await;
    world.unset("accounts.main.proxy").set(key, &path);
    let (can_be_used, output) = check(&world).await;
    assert!(can_be_used, "{output}");
    assert!(!output.contains("hush-hush"), "{output}");
}

#[tokio::test]
async fn unrestricted_callbacks_are_warned_about_at_start() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let warning = "any client that reaches callbacks.listen can send callbacks";
    for (listen, secret, is_warned) in [
        ("0.0.0.0:0", None, true),
        ("127.0.0.1:0", None, false),
        ("0.0.0.0:0", Some("0123456789abcdef"), false),
    ] {
        world.set("callbacks.listen", listen);
        match secret {
            Some(secret) => drop(world.set("accounts.main.callback_secret", secret)),
            None => drop(world.unset("accounts.main.callback_secret")),
        }
        let mut gateway = world.start_gateway().await;
        gateway.process.signal("-TERM");
        assert!(gateway.process.ended().await.success());
        let output = gateway.process.text();
        assert_eq!(output.contains(warning), is_warned, "{listen}: {output}");
        assert!(output.contains("\"allow_short_times\""), "{output}");
    }
}
