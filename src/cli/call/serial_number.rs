//! The serial number of a resolution, which is read from a file: a token is money, and arguments
//! appear in the history of the shell and in the list of processes.

use std::{fs::File, io, io::Read, path::Path};

/// The greatest size of the file, in bytes.
const SERIAL_NUMBER_BYTES_MAX: u64 = 4096;

/// Reads the one line of a file, or of standard input where the file is `-`.
///
/// # Errors
/// When the file cannot be read or does not hold one line; the error never quotes the file.
pub(super) fn read_serial_number(file: &Path) -> Result<String, String> {
    let problem = |problem: &str| {
        let file = file.display();
        format!(
            "--serial-number-file: {file}: {problem}; name a file of one line, or - for \
             standard input"
        )
    };
    let text = read_bounded(file).map_err(|error| problem(&error.to_string()))?;
    let line = text.trim();
    if text.len() as u64 > SERIAL_NUMBER_BYTES_MAX {
        Err(problem("it is too long"))
    } else if line.is_empty() {
        Err(problem("it is empty"))
    } else if line.contains(char::is_control) {
        Err(problem("it has several lines, or control characters"))
    } else {
        Ok(line.to_owned())
    }
}

/// Reads at most one byte more than is allowed.
fn read_bounded(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let limit = SERIAL_NUMBER_BYTES_MAX + 1;
    if file == Path::new("-") {
        let stdin = io::stdin().lock();
        stdin.take(limit).read_to_string(&mut text)?;
    } else {
        File::open(file)?.take(limit).read_to_string(&mut text)?;
    }
    Ok(text)
}
