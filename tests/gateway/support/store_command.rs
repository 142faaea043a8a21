//! The subcommands of `store`.

use std::path::PathBuf;

use super::{
    process::Process,
    world::{BINARY, World},
};

/// The target of a copy: a file of its settings, and what a world needs to use it.
pub struct Target {
    pub file: PathBuf,
    settings: Vec<(&'static str, String)>,
}

impl Target {
    /// Returns an embedded store that does not exist yet.
    pub fn embedded(world: &World) -> Self {
        let path = world.path().join("target/gateway.redb");
        Self::of(
            world,
            vec![
                ("kind", "embedded".to_owned()),
                ("path", path.display().to_string()),
            ],
        )
    }

    /// Returns a Redis, with another number of partitions than the default.
    pub fn redis(world: &World, url: &str) -> Self {
        Self::of(
            world,
            vec![
                ("kind", "redis".to_owned()),
                ("url", url.to_owned()),
                ("partitions", "16".to_owned()),
            ],
        )
    }

    /// Returns a Redis Cluster.
    pub fn cluster(world: &World, urls: &str) -> Self {
        Self::of(
            world,
            vec![
                ("kind", "redis".to_owned()),
                ("topology", "cluster".to_owned()),
                ("url", urls.to_owned()),
            ],
        )
    }

    fn of(world: &World, settings: Vec<(&'static str, String)>) -> Self {
        let file = world.path().join("target.toml");
        let lines = settings
            .iter()
            .map(|(key, value)| match value.parse::<u64>() {
                Ok(number) => format!("{key} = {number}\n"),
                Err(_) => format!("{key} = {value:?}\n"),
            });
        std::fs::write(&file, format!("[store]\n{}", lines.collect::<String>())).unwrap();
        Self { file, settings }
    }

    /// Configures the target as the store of a world.
    pub fn configure(&self, world: &mut World) {
        world.unset("store.url");
        for (key, value) in &self.settings {
            world.set(&format!("store.{key}"), value);
        }
    }

    /// Returns the arguments of the copy to it.
    pub fn arguments(&self) -> Vec<&str> {
        vec!["copy", "--to", self.file.to_str().unwrap()]
    }
}

/// Starts `store <arguments>`.
pub fn start_store(world: &World, arguments: &[&str]) -> Process {
    let arguments: Vec<&str> = ["store"].iter().chain(arguments).copied().collect();
    Process::start(BINARY, &arguments, &world.environment(), world.path())
}

/// Runs `store <arguments>`, and returns whether it succeeded, with its output.
pub async fn run_store(world: &World, arguments: &[&str]) -> (bool, String) {
    let mut process = start_store(world, arguments);
    let status = process.ended().await;
    (status.success(), process.text())
}

/// Runs `store <arguments>`, which must succeed, and returns its output.
pub async fn store_done(world: &World, arguments: &[&str]) -> String {
    let (is_done, text) = run_store(world, arguments).await;
    assert!(is_done, "{text}");
    text
}

/// Runs `store <arguments>`, which must be refused, and returns its output.
pub async fn store_refused(world: &World, arguments: &[&str]) -> String {
    let (is_done, text) = run_store(world, arguments).await;
    assert!(!is_done, "{text}");
    text
}

/// Runs `serve`, which must be refused, and returns its output.
pub async fn serve_refused(world: &World) -> String {
    let mut process = Process::start(BINARY, &["serve"], &world.environment(), world.path());
    assert!(!process.ended().await.success(), "{}", process.text());
    process.text()
}
