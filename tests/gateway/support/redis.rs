//! A real redis-server of the test's own.

use std::path::{Path, PathBuf};

use super::{ports, process::Process};

pub struct Redis {
    pub url: String,
    arguments: Vec<String>,
    folder: PathBuf,
    process: Process,
}

impl Redis {
    /// Starts one that keeps nothing on disk.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &["--appendonly", "no"]).await
    }

    pub async fn start_with(folder: &Path, options: &[&str]) -> Self {
        let port = ports::free().to_string();
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

    /// Ends it at once, as a crash does.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again, on the same port and with what it kept.
    pub async fn start_again(&mut self) {
        self.process = launch(&self.arguments, &self.folder).await;
    }

    /// Stops answering, as a server that hangs.
    pub fn freeze(&self) {
        self.process.signal("-STOP");
    }

    /// Answers again.
    pub fn thaw(&self) {
        self.process.signal("-CONT");
    }
}

async fn launch(arguments: &[String], folder: &Path) -> Process {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut process = Process::start("redis-server", &arguments, &[], folder);
    process
        .line(|line| line.contains("Ready to accept connections").then_some(()))
        .await;
    process
}
