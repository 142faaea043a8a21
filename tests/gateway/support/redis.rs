//! A real redis-server for one test.

use std::path::{Path, PathBuf};

use redis::{
    AsyncConnectionConfig, FromRedisValue, RedisResult, Value, aio::MultiplexedConnection,
};

use super::{
    ports,
    process::{PATIENCE, Process},
};

pub struct Redis {
    pub url: String,
    arguments: Vec<String>,
    folder: PathBuf,
    process: Process,
}

impl Redis {
    /// Starts a server without persistence.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &["--appendonly", "no"]).await
    }

    pub async fn start_with(folder: &Path, options: &[&str]) -> Self {
        Self::start_on(ports::free(), folder, options).await
    }

    /// Starts a server on a port.
    pub async fn start_on(port: u16, folder: &Path, options: &[&str]) -> Self {
        let port = port.to_string();
        let fixed = ["--port", &port, "--bind", "127.0.0.1", "--save", ""];
        let arguments: Vec<String> = fixed
            .iter()
            .chain(options)
            .map(|text| (*text).to_owned())
            .collect();
        let process = launch(&arguments, folder).await;
        let url = format!("redis://127.0.0.1:{port}");
        Self {
            url,
            arguments,
            folder: folder.to_owned(),
            process,
        }
    }

    /// Starts a replica of this server, without waiting for its synchronization.
    pub async fn replica(&self, folder: &Path) -> Self {
        // Otherwise it waits for further replicas before it copies.
        let at_once = ["CONFIG", "SET", "repl-diskless-sync-delay", "0"];
        self.command(&at_once).await;
        let port = self.port().to_string();
        let options = ["--appendonly", "no", "--replicaof", "127.0.0.1", &port];
        Self::start_with(folder, &options).await
    }

    /// Makes this server a replica of another, and waits until it is synchronized.
    pub async fn follow(&self, other: &Self) {
        let port = other.port().to_string();
        self.command(&["REPLICAOF", "127.0.0.1", &port]).await;
        other.await_replica().await;
    }

    /// Waits until a replica has received every write so far.
    pub async fn await_replica(&self) {
        let mut connection = self.connection().await;
        let replicas: (Value, u64) = redis::pipe()
            .set("test:mark", 1)
            .cmd("WAIT")
            .arg(1)
            .arg(PATIENCE.as_millis().to_string())
            .query_async(&mut connection)
            .await
            .unwrap();
        assert_eq!(replicas.1, 1);
    }

    /// Returns the number of keys.
    pub async fn count(&self) -> u64 {
        let mut connection = self.connection().await;
        redis::cmd("DBSIZE")
            .query_async(&mut connection)
            .await
            .unwrap()
    }

    /// Returns a number of a section of INFO.
    pub async fn info(&self, section: &str, name: &str) -> u64 {
        let mut asked = redis::cmd("INFO");
        asked.arg(section);
        let mut connection = self.connection().await;
        let output: String = asked.query_async(&mut connection).await.unwrap();
        let named = |line: &'_ str| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned());
        let value = output.lines().find_map(named).unwrap_or_default();
        let value = value.trim_start_matches("calls=");
        let digits = value.split(',').next().unwrap_or_default();
        digits.trim().parse().unwrap_or_default()
    }

    /// Makes this empty server a store of schema 3 with 64 partitions, as the release before this
    /// one creates it.
    pub async fn use_schema_3(&self) {
        let facts = ["HSET", "okb:identity", "schema", "3", "partitions", "64"];
        self.command(&facts).await;
    }

    pub async fn command(&self, command: &[&str]) {
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]);
        let mut connection = self.connection().await;
        let _: Value = asked.query_async(&mut connection).await.unwrap();
    }

    /// Runs a command, which may fail.
    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        ask(&self.url, command).await
    }

    /// Returns the number of subscribers of a channel.
    pub async fn subscribers(&self, channel: &str) -> u64 {
        let mut asked = redis::cmd("PUBSUB");
        asked.arg("NUMSUB").arg(channel);
        let mut connection = self.connection().await;
        let (_, count): (String, u64) = asked.query_async(&mut connection).await.unwrap();
        count
    }

    pub async fn connection(&self) -> MultiplexedConnection {
        connect(&self.url).await.unwrap()
    }

    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Kills the server, as a crash does.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Restarts the server on the same port with its persisted data.
    pub async fn start_again(&mut self) {
        self.process = launch(&self.arguments, &self.folder).await;
    }

    /// Writes a snapshot, kills the server, and restarts it from the snapshot.
    pub async fn restart_from_snapshot(&mut self) {
        self.command(&["SAVE"]).await;
        self.kill().await;
        self.start_again().await;
    }

    /// Stops answering, as a hung server does.
    pub fn freeze(&self) {
        self.process.signal("-STOP");
    }

    /// Answers again.
    pub fn thaw(&self) {
        self.process.signal("-CONT");
    }
}

async fn connect(url: &str) -> RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = redis::Client::open(url)?;
    client
        .get_multiplexed_async_connection_with_config(&patient)
        .await
}

/// Runs a command on a connection of its own; the server may be gone.
pub async fn ask<T: FromRedisValue>(url: &str, command: &[&str]) -> RedisResult<T> {
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]);
    asked.query_async(&mut connect(url).await?).await
}

async fn launch(arguments: &[String], folder: &Path) -> Process {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut process = Process::start("redis-server", &arguments, &[], folder);
    process
        .line(|line| line.contains("Ready to accept connections").then_some(()))
        .await;
    process
}
