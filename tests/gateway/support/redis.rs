//! A real redis-server of the test's own.

use std::path::Path;

use super::{ports, process::Process};

pub struct Redis {
    pub url: String,
    process: Process,
}

impl Redis {
    /// Starts one that keeps nothing on disk.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[]).await
    }

    pub async fn start_with(folder: &Path, options: &[&str]) -> Self {
        let port = ports::free().to_string();
        let mut arguments = vec![
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        arguments.extend(options);
        let mut process = Process::start("redis-server", &arguments, &[], folder);
        process
            .line(|line| line.contains("Ready to accept connections").then_some(()))
            .await;
        Self {
            url: format!("redis://127.0.0.1:{port}"),
            process,
        }
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

impl Drop for Redis {
    fn drop(&mut self) {
        // A frozen process would not end.
        if !std::thread::panicking() {
            self.thaw();
        }
    }
}
