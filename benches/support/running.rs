//! The processes of a benchmark.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A child process that is killed when this is dropped.
pub struct Running {
    child: Child,
    /// The address that it logged.
    pub address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts a binary, waits for the log line with its address in `address_field`, and passes every
    /// later line to `on_line`.
    pub fn start(
        binary: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
        address_field: &str,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = loop {
            let line = lines
                .next()
                .expect("the process logs its address")
                .expect("text");
            let line: serde_json::Value = serde_json::from_str(&line).expect("lines are JSON");
            if let Some(address) = line[address_field].as_str() {
                break address.to_owned();
            }
        };
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| on_line(&line)));
        Self { child, address }
    }

    /// Returns the CPU time of the process, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("it runs");
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
        // User and system time, in ticks of 1/100 s.
        (ticks(11) + ticks(12)) / 100.0
    }
}
