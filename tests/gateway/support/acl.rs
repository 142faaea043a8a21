//! The users of docs/redis-users.acl and docs/redis-sentinel-users.acl.

use std::path::{Path, PathBuf};

use super::{
    redis::{Redis, ask},
    sentinels::{PRIMARY, SentinelOptions, Sentinels},
};

/// The password of every user; it must not appear in any output.
pub const PASSWORD: &str = "CANARY-redis-7d0b41";

/// `user:password@` of the user of the gateways.
pub fn gateway() -> String {
    format!("okebayar:{PASSWORD}@")
}

/// `user:password@` of the administrator, whom only the tests have.
pub fn administrator() -> String {
    format!("administrator:{PASSWORD}@")
}

/// Returns the lines of a document of users, with a password.
pub fn documented(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let with_password = |word: &str| match word.strip_prefix('>') {
        Some(_) => format!(">{PASSWORD}"),
        None => word.to_owned(),
    };
    let line = |line: &str| {
        let words: Vec<String> = line.split(' ').map(with_password).collect();
        words.join(" ")
    };
    text.lines().map(line).collect()
}

/// Writes a document's users to a file that servers read, without anybody who needs no password.
pub fn write_users(folder: &Path, name: &str) -> PathBuf {
    let mut users = documented(name);
    users.push("user default off".to_owned());
    users.push(format!("user administrator on >{PASSWORD} ~* &* +@all"));
    let file = folder.join(name);
    std::fs::write(&file, users.join("\n") + "\n").unwrap();
    file
}

/// Starts a server with these users.
pub async fn start_redis(folder: &Path) -> Redis {
    let arguments = server_arguments(folder);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut redis = Redis::start_with(folder, &arguments).await;
    redis.url = format!("redis://{}127.0.0.1:{}", administrator(), redis.port());
    redis
}

/// Returns the arguments of a server with these users, which may also be a replica.
pub fn server_arguments(folder: &Path) -> Vec<String> {
    let users = write_users(folder, "redis-users.acl");
    let users = users.to_str().unwrap();
    [
        "--aclfile",
        users,
        "--masteruser",
        "replica",
        "--masterauth",
        PASSWORD,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Starts a primary with replicas and Sentinels, all with these users.
pub async fn start_sentinels(folder: &Path, replicas: usize) -> Sentinels {
    let server = server_arguments(folder);
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    let users = write_users(folder, "redis-sentinel-users.acl");
    let options = SentinelOptions {
        replicas,
        server: &server,
        sentinel: &[
            &format!("sentinel auth-user {PRIMARY} sentinel"),
            &format!("sentinel auth-pass {PRIMARY} {PASSWORD}"),
            "sentinel sentinel-user sentinel",
            &format!("sentinel sentinel-pass {PASSWORD}"),
            &format!("aclfile {}", users.display()),
        ],
        administrator: &administrator(),
        sentinel_administrator: &administrator(),
    };
    Sentinels::start_with(folder, options).await
}

/// Returns what a server, or a Sentinel, denied to its users.
pub async fn denials(url: &str) -> Vec<String> {
    let log: redis::Value = ask(url, &["ACL", "LOG"]).await.unwrap();
    let redis::Value::Array(entries) = log else {
        panic!("{log:?}");
    };
    entries.iter().map(|entry| format!("{entry:?}")).collect()
}
