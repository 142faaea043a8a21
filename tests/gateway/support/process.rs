//! A child process whose output is kept, awaited and searched for secrets.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
};

/// The PIN of every test; it must not appear in any output.
pub const CANARY_PIN: &str = "CANARY-pin-5f1e9c";
/// Customer data of the sandbox and the prefixes of its serial numbers; none may appear in a
/// gateway's output (promise 15).
const CUSTOMERS: [&str; 8] = [
    "5599227700",
    "MELISA",
    "BUDI",
    "JL. MELATI",
    "514444444444",
    "0MUP210Z83A4C2E165D4522042E5CF9E",
    "081234567890",
    "081299990000",
];
/// The maximum wait of any test.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Process {
    name: String,
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
    secrets: Vec<String>,
}

impl Process {
    /// Starts `program` with piped output.
    pub fn start(
        program: &str,
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .kill_on_drop(true);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let output = Arc::new(Mutex::new(Vec::new()));
        let (count, lines) = watch::channel(0);
        keep(
            child.stdout.take().unwrap(),
            Arc::clone(&output),
            count.clone(),
        );
        keep(child.stderr.take().unwrap(), Arc::clone(&output), count);
        let mut secrets = vec![CANARY_PIN.to_owned()];
        if arguments.first() == Some(&"serve") {
            secrets.extend(CUSTOMERS.map(str::to_owned));
        }
        Self {
            name: format!("{program} {arguments:?}"),
            child,
            output,
            lines,
            secrets,
        }
    }

    /// Adds a text that must not appear in the output.
    pub fn add_secret(&mut self, secret: String) {
        self.secrets.push(secret);
    }

    /// Waits for a line that `read` accepts.
    pub async fn line<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> T {
        let mut lines = self.lines.clone();
        let found = async {
            loop {
                if let Some(found) = self.output().iter().find_map(|line| read(line)) {
                    return Some(found);
                }
                if lines.changed().await.is_err() {
                    return self.output().iter().find_map(|line| read(line));
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, found)
            .await
            .unwrap_or_default();
        found.unwrap_or_else(|| panic!("{} never said so; it said:\n{}", self.name, self.text()))
    }

    pub fn output(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    pub fn text(&self) -> String {
        self.output().join("\n")
    }

    /// Returns the resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let pid = self.child.id().expect("the process has exited");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let count = line.unwrap().split_whitespace().next().unwrap();
        count.parse().unwrap()
    }

    /// Limits the size of files that the process may write, as a full disk does; `None` lifts the
    /// limit. The process must ignore SIGXFSZ.
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        let pid = i32::try_from(self.child.id().expect("the process has exited")).unwrap();
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit {
            current: bytes.or(maximum),
            maximum,
        };
        prlimit(Pid::from_raw(pid), Resource::Fsize, limit).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process has exited")
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the exit and for all output.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status =
            ended.unwrap_or_else(|_| panic!("{} did not end:\n{}", self.name, self.text()));
        while self.lines.changed().await.is_ok() {}
        status.unwrap()
    }

    /// Kills the process, as a crash does.
    pub async fn kill(&mut self) {
        self.child.start_kill().unwrap();
        self.ended().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}\n---", self.name, self.text());
            return;
        }
        for secret in &self.secrets {
            // The secret itself must not appear in the output of the test either.
            assert!(!self.text().contains(secret), "{} told a secret", self.name);
        }
    }
}

fn keep(
    stream: impl AsyncRead + Unpin + Send + 'static,
    output: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            output.lock().unwrap().push(line);
            count.send_modify(|count| *count += 1);
        }
    });
}
