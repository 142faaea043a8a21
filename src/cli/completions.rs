//! `completions`: prints the completions of a shell.

use clap::Command;
use clap_complete::Shell;

/// Builds the completion script of a shell, for a program of the command's name.
pub(super) fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}
