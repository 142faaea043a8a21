//! Arguments, logging, configuration, run, exit code.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use okebayar_gateway::{
    ambient::Ambient,
    app::App,
    call,
    config::Settings,
    dev, guard,
    sandbox::{self, CallbackMethod, Sandbox},
    store_command,
    telemetry::{Telemetry, log_to_stderr},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use secrecy::SecretString;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Buys at OKEBAYAR over gRPC, each reference code at most once.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway.
    Serve {
        /// The TOML file; the environment goes over it. See docs/CONFIGURATION.md.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Verify the configuration, print every fault, and end.
        #[arg(long)]
        check: bool,
    },
    /// The failover guard: after the store may have lost records, reference codes that
    /// are unknown and not provably newer are held back.
    Guard {
        #[command(subcommand)]
        action: guard::Action,
        /// The TOML file; the environment goes over it.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
    },
    /// Change what the store knows of the accounts. The gateway of an embedded store must be
    /// stopped; on Redis gateways may run.
    Store {
        #[command(subcommand)]
        action: store_command::Action,
        /// The TOML file; the environment goes over it.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
    },
    /// Ask a running gateway whether it serves; the exit code is the answer.
    Health {
        /// The gateway's gRPC address.
        #[arg(long, default_value = "http://127.0.0.1:50051")]
        address: String,
    },
    /// Wait, for a preStop hook in an image that has no shell.
    Pause {
        /// How long, such as 5s.
        duration: SignedDuration,
    },
    /// Run an OKEBAYAR of your own, for development and tests.
    Sandbox(SandboxArguments),
    /// Call a running gateway. The exit code tells a script how it ended: 0 done, or
    /// SUCCEEDED; 1 refused; 2 wrong arguments; 3 no money spent: FAILED, NOT_SENT,
    /// REVERSED; 4 open: SENDING, PENDING, CONFIRMING; 5 NEEDS_REVIEW; 6 something
    /// may have been sent under the reference code: repeat the very same call, or read it.
    Call(call::Arguments),
    /// Run gateway and sandbox on loopback, and buy one product.
    Dev {
        /// On free ports with a temporary store; end when the purchase has.
        #[arg(long)]
        once: bool,
    },
}

#[derive(clap::Args)]
struct SandboxArguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where callbacks go, such as <http://127.0.0.1:8080/callbacks/main>.
    #[arg(long)]
    callback_url: Option<String>,
    /// How callbacks are made.
    #[arg(long, value_enum, default_value = "post")]
    callback_method: CallbackMethod,
    /// The member id that is right; the PIN is in the environment as `OKEBAYAR_SANDBOX_PIN`.
    #[arg(long, default_value = "sandbox")]
    userid: String,
    /// The time after which a pending purchase is settled.
    #[arg(long, default_value = "2s")]
    settle_after: SignedDuration,
    /// The time after which a client no longer waits for an answer.
    #[arg(long, default_value = "1m")]
    late_after: SignedDuration,
    /// How long each status check takes to be answered.
    #[arg(long, default_value = "0s")]
    check_delay: SignedDuration,
    /// How long an inquiry may be used.
    #[arg(long, default_value = "30m")]
    inquiry_valid: SignedDuration,
    /// The status code with which a check about an unknown reference code is answered.
    #[arg(long, default_value_t = sandbox::scenario::NOT_FOUND_DEFAULT,
        value_parser = clap::value_parser!(u16).range(..1000))]
    not_found_code: u16,
    /// The deposit, in rupiah.
    #[arg(long, default_value_t = 10_000_000)]
    deposit: u64,
}

const SANDBOX_PIN_VARIABLE: &str = "OKEBAYAR_SANDBOX_PIN";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    no_core_dump();
    match run(arguments.command).await {
        Ok(ended) => ended,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A core dump would hold the PIN (promise 15).
fn no_core_dump() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        eprintln!("core dumps could not be switched off: {error}");
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another TLS provider is installed"))?;
    let ambient = Ambient::system();
    match command {
        Command::Serve { config, check } => {
            let settings = Settings::load(config.as_deref())?;
            if check {
                for warning in settings.warnings() {
                    println!("warning: {warning}");
                }
                println!("the configuration can be used");
                return Ok(ExitCode::SUCCESS);
            }
            let telemetry = start_telemetry().await?;
            log_to_stderr("info", Some(&telemetry));
            let registry = telemetry.registry();
            let gateway = App::start(settings, registry, ambient, stop_on_signal()?).await?;
            let ran = gateway.run().await;
            tokio::task::spawn_blocking(move || telemetry.stop()).await?;
            ran?;
        }
        Command::Guard { action, config } => {
            let settings = Settings::load(config.as_deref())?;
            println!("{}", guard::run(action, &settings, ambient).await?);
        }
        Command::Store { action, config } => {
            let settings = Settings::load(config.as_deref())?;
            let done = store_command::run(action, &settings, ambient).await?;
            println!("{done}");
        }
        Command::Sandbox(arguments) => {
            log_to_stderr("info", None);
            run_sandbox(arguments, ambient, stop_on_signal()?).await?;
        }
        Command::Dev { once } => {
            let telemetry = start_telemetry().await?;
            log_to_stderr("warn", Some(&telemetry));
            let registry = telemetry.registry();
            dev::run(once, registry, ambient, stop_on_signal()?).await?;
        }
        Command::Pause { duration } => tokio::time::sleep(duration.unsigned_abs()).await,
        Command::Health { address } => call::health(address).await?,
        Command::Call(arguments) => {
            log_to_stderr("warn", None);
            return Ok(call::run(arguments).await.into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Exporters are made and stopped outside async tasks, where they may block.
async fn start_telemetry() -> Result<Telemetry> {
    Ok(tokio::task::spawn_blocking(Telemetry::start).await??)
}

async fn run_sandbox(
    arguments: SandboxArguments,
    ambient: Ambient,
    stopping: CancellationToken,
) -> Result<()> {
    let pin = std::env::var(SANDBOX_PIN_VARIABLE)
        .map(SecretString::from)
        .with_context(|| {
            format!("{SANDBOX_PIN_VARIABLE} is not set; set it to the PIN that the sandbox accepts")
        })?;
    let settings = sandbox::SandboxSettings {
        user_id: arguments.userid,
        pin,
        deposit: arguments.deposit,
        settle_after: arguments.settle_after.unsigned_abs(),
        late_after: arguments.late_after.unsigned_abs(),
        check_delay: arguments.check_delay.unsigned_abs(),
        callback_method: arguments.callback_method,
        inquiry_valid: arguments.inquiry_valid.unsigned_abs(),
        not_found_code: arguments.not_found_code,
    };
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!(
            "--listen: {} cannot be bound; free it or name another",
            arguments.listen
        )
    })?;
    info!(sandbox = %listener.local_addr()?, "listening");
    let sandbox = Sandbox::new(settings, arguments.callback_url, ambient, stopping)?;
    Arc::clone(&sandbox).serve(listener).await;
    Ok(())
}

/// SIGTERM and SIGINT stop the program in order.
fn stop_on_signal() -> Result<CancellationToken> {
    let stopping = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = stopping.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(stopping)
}
