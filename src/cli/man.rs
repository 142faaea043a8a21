//! `man`: prints one man page of the program with all of its subcommands.

use std::io;

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

/// Builds the page in roff: the sections of the program, then one section for each subcommand.
///
/// # Errors
/// None: the page is built in memory.
pub(super) fn page(command: Command) -> io::Result<Vec<u8>> {
    // Omits `help`, which only repeats the other names.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut overview = Roff::new();
    overview.control("SH", ["SUBCOMMANDS"]);
    let mut sections = Vec::new();
    for subcommand in command.get_subcommands() {
        add_subcommand(&mut overview, &mut sections, subcommand)?;
    }
    overview.to_writer(&mut page)?;
    page.extend(sections);
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// Adds a line to the overview and a section for a subcommand and each one below it.
fn add_subcommand(
    overview: &mut Roff,
    sections: &mut Vec<u8>,
    command: &Command,
) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let about = command.get_about().map(ToString::to_string);
    overview.control("TP", []);
    overview.text([bold(name)]);
    overview.text([roman(about.unwrap_or_default())]);

    let mut heading = Roff::new();
    heading.control("SH", [name.to_uppercase().as_str()]);
    heading.to_writer(sections)?;
    let man = Man::new(command.clone());
    let mut parts = Vec::new();
    man.render_synopsis_section(&mut parts)?;
    man.render_description_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    sections.extend(as_subsections(&parts));
    for below in command.get_subcommands() {
        add_subcommand(overview, sections, below)?;
    }
    Ok(())
}

/// Turns sections of roff into subsections.
fn as_subsections(sections: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(sections);
    let lines = text.lines().map(|line| match line.strip_prefix(".SH ") {
        Some(heading) => format!(".SS {heading}\n"),
        None => format!("{line}\n"),
    });
    lines.collect::<String>().into_bytes()
}
