//! Shell completions and the man page.

use std::{collections::BTreeSet, path::Path};

use clap::{CommandFactory, ValueHint};
use okebayar_gateway::{cli::Cli, grpc::v1::TransactionReason};
use tokio::process::Command;

use crate::support::world::BINARY;

/// Runs a command that prints one text and succeeds.
async fn printed(arguments: &[&str]) -> String {
    let output = Command::new(BINARY).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns every subcommand but `help`, after building so that each has its global flags.
fn subcommands() -> Vec<clap::Command> {
    fn add(all: &mut Vec<clap::Command>, command: &clap::Command) {
        for below in command.get_subcommands() {
            all.push(below.clone());
            add(all, below);
        }
    }
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut all = Vec::new();
    add(&mut all, &program);
    all
}

/// Returns the flags of a command: `--json`.
fn flags(command: &clap::Command) -> BTreeSet<String> {
    let longs = command.get_arguments().filter_map(clap::Arg::get_long);
    longs.map(|long| format!("--{long}")).collect()
}

/// Completes the last word in a bash that has sourced the script.
async fn completed_by_bash(script: &Path, words: &[&str]) -> BTreeSet<String> {
    const COMPLETE: &str = r#"
        source "$1" || exit
        function=$(complete -p okebayar-gateway | sed 's/.* -F \([^ ]*\) .*/\1/')
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["-c", COMPLETE, "bash"])
        .arg(script)
        .arg("okebayar-gateway")
        .args(words);
    let output = bash.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn bash_completes_every_subcommand_every_flag_and_every_enumerated_value() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("okebayar-gateway.bash");
    std::fs::write(&script, printed(&["completions", "bash"]).await).unwrap();
    let mut values_seen = 0;
    for command in subcommands() {
        let path = command.get_bin_name().unwrap();
        let words: Vec<&str> = path.split(' ').skip(1).collect();
        let (name, above) = words.split_last().unwrap();
        let completed = completed_by_bash(&script, &[above, &[*name]].concat()).await;
        assert!(completed.contains(*name), "{path}: {completed:?}");
        let completed = completed_by_bash(&script, &[&words[..], &["--"]].concat()).await;
        assert_eq!(completed, flags(&command), "{path}");
        for flag in command.get_opts() {
            let name = format!("--{}", flag.get_long().unwrap());
            let values: BTreeSet<String> = flag
                .get_possible_values()
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect();
            let completed = completed_by_bash(&script, &[&words[..], &[&*name, ""]].concat()).await;
            if !values.is_empty() {
                assert_eq!(completed, values, "{path} {name}");
                values_seen += values.len();
            } else if flag.get_value_hint() == ValueHint::Other {
                assert_eq!(completed, BTreeSet::from([String::new()]), "{path} {name}");
            }
        }
    }
    // Reasons, without the unspecified one.
    let reasons = (1..1000).filter(|number| TransactionReason::try_from(*number).is_ok());
    // States, resolutions, the methods of callbacks, and the waits of a purchase and a payment.
    assert_eq!(values_seen, 8 + 3 + 2 + 2 * 3 + reasons.count());
    let shells = completed_by_bash(&script, &["completions", ""]).await;
    for shell in ["bash", "zsh", "fish"] {
        assert!(shells.contains(shell), "{shells:?}");
    }
}

#[tokio::test]
async fn zsh_and_fish_complete_every_subcommand_and_every_flag_of_a_purchase() {
    let all = subcommands();
    let path = "okebayar-gateway call purchase-prepaid";
    let purchase = all.iter().find(|one| one.get_bin_name() == Some(path));
    let flags = flags(purchase.unwrap());
    assert!(flags.contains("--inquiry-code") && flags.contains("--address"));

    let zsh = printed(&["completions", "zsh"]).await;
    assert!(zsh.starts_with("#compdef okebayar-gateway\n"));
    let (_, section) = zsh.split_once("(purchase-prepaid)\n").unwrap();
    let (section, _) = section.split_once(";;").unwrap();
    for flag in &flags {
        // A flag that excludes another one is preceded by its name in brackets.
        let is_there =
            ["[", "=["].map(|end| ["'", "'*", ")"].map(|start| format!("{start}{flag}{end}")));
        assert!(
            is_there.iter().flatten().any(|text| section.contains(text)),
            "{flag}: {section}"
        );
    }
    let (_, states) = zsh.split_once("'*--state=[").unwrap();
    let (states, _) = states.split_once("))'").unwrap();
    for state in [
        "sending",
        "pending",
        "confirming",
        "succeeded",
        "failed",
        "not-sent",
    ] {
        assert!(states.contains(&format!("{state}\\:")), "{state}: {states}");
    }

    let fish = printed(&["completions", "fish"]).await;
    let using = "__fish_okebayar_gateway_using_subcommand call; and \
                 __fish_seen_subcommand_from purchase-prepaid\" ";
    let section: Vec<&str> = fish.lines().filter(|line| line.contains(using)).collect();
    for flag in &flags {
        let flag = format!(" -l {} ", flag.trim_start_matches("--"));
        assert!(
            section.iter().any(|line| line.contains(&flag)),
            "{flag}: {section:?}"
        );
    }
    for command in all {
        let name = command.get_name();
        assert!(zsh.contains(&format!("'{name}:")), "{name}");
        assert!(fish.contains(&format!(" -a \"{name}\" ")), "{name}");
    }
}

#[tokio::test]
async fn man_page_describes_every_subcommand_and_every_flag() {
    // Hyphens are escaped, so that none is broken at the end of a line.
    let page = printed(&["man"]).await.replace("\\-", "-");
    let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
    assert!(title.starts_with(".TH okebayar-gateway 1 "), "{title}");
    let (overview, _) = page.split_once("\n.SH \"OKEBAYAR-GATEWAY").unwrap();
    for command in subcommands() {
        let path = command.get_bin_name().unwrap();
        assert!(overview.contains(&format!("\\fB{path}\\fR\n")), "{path}");
        let heading = format!("\n.SH \"{}\"\n", path.to_uppercase());
        let (_, section) = page.split_once(&heading).expect(path);
        let section = section.split("\n.SH ").next().unwrap();
        let about = command.get_about().unwrap().to_string();
        assert!(section.contains(&about), "{path}: {section}");
        let (_, options) = section.split_once("\n.SS OPTIONS\n").expect(path);
        for flag in flags(&command) {
            assert!(
                options.contains(&format!("\\fB{flag}\\fR")),
                "{path} {flag}"
            );
        }
    }
    for line in [
        "3  no money is spent: FAILED, NOT_SENT or REVERSED",
        "5  an operator",
    ] {
        assert!(page.contains(line), "{line}");
    }
}
