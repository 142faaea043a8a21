//! Parses the arguments, runs the subcommand, and exits with its code.

use std::process::ExitCode;

use clap::Parser;
use okebayar_gateway::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
