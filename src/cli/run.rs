//! Runs one subcommand.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Result;
use clap::CommandFactory;

use super::{
    arguments::{Cli, CliCommand},
    call, completions, dev, guard, health, man, process, sandbox, serve, store,
};
use crate::{ambient::Ambient, config::Settings, telemetry::log_to_stderr};

/// Runs a subcommand, and returns the exit code of the program.
///
/// # Errors
/// When the subcommand fails; the exit code is then 1, unless the subcommand has codes of its own.
pub async fn run(command: CliCommand) -> Result<ExitCode> {
    process::disable_core_dumps();
    process::install_tls_provider()?;
    let ambient = Ambient::system();
    match command {
        CliCommand::Serve {
            config,
            check,
            offline,
        } => {
            let settings = Settings::load(config.as_deref())?;
            if check {
                serve::print_warnings(&settings);
                if !offline {
                    serve::print_store(&settings, &ambient).await?;
                }
            } else {
                serve::run(settings, ambient).await?;
            }
        }
        CliCommand::Guard { action, config } => {
            let settings = Settings::load(config.as_deref())?;
            println!("{}", guard::run(action, &settings, ambient).await?);
        }
        CliCommand::Store { action, config } => {
            let settings = Settings::load(config.as_deref())?;
            match store::run(action, &settings, ambient).await {
                Ok(report) => println!("{report}"),
                Err(error) if error.is::<store::Unverified>() => {
                    eprintln!("error: {error:#}");
                    return Ok(ExitCode::from(2));
                }
                Err(error) => return Err(error),
            }
        }
        CliCommand::Sandbox(arguments) => {
            log_to_stderr("info", None);
            sandbox::run(arguments, ambient).await?;
        }
        CliCommand::Dev { once } => {
            let telemetry = process::start_telemetry().await?;
            log_to_stderr("warn", Some(&telemetry));
            let registry = telemetry.registry();
            dev::run(once, registry, ambient, process::stop_on_signal()?).await?;
        }
        CliCommand::Pause { duration } => tokio::time::sleep(duration.unsigned_abs()).await,
        CliCommand::Health { address } => health::run(address).await?,
        CliCommand::Call(arguments) => {
            log_to_stderr("warn", None);
            return Ok(call::run(arguments).await.into());
        }
        CliCommand::Completions { shell } => {
            io::stdout().write_all(&completions::script(shell, Cli::command()))?;
        }
        CliCommand::Man => io::stdout().write_all(&man::page(Cli::command())?)?,
    }
    Ok(ExitCode::SUCCESS)
}
