//! `completions`: prints the completions of a shell.

use clap::Command;
use clap_complete::Shell;

/// Builds the completion script of a shell, for a program of the command's name.
pub(super) fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    if shell == Shell::Bash {
        script = with_one_name(&script, &name);
    }
    script
}

/// Writes the name of the program in one way throughout a script for bash.
///
/// `clap_complete` 4.6 replaces a hyphen in that name by `__` where the script follows the
/// subcommands, but by `__subcmd__` where it lists their options, so that no subcommand of a
/// program with a hyphen is completed (<https://github.com/clap-rs/clap/issues/6421>).
fn with_one_name(script: &[u8], name: &str) -> Vec<u8> {
    let listed = format!("{}__subcmd__", name.replace('-', "__subcmd__"));
    let followed = format!("{}__subcmd__", name.replace('-', "__"));
    String::from_utf8_lossy(script)
        .replace(&listed, &followed)
        .into_bytes()
}
