//! Secrets: read from the environment or a file of their own, never from the TOML file.

use secrecy::SecretString;

use super::{
    fault::Fault,
    flat_keys::{FlatKeys, in_environment, variable},
    reader::Reader,
};

/// Builds the remedy where a secret is not given as it must be.
pub(super) fn give_secret(key: &str) -> String {
    match in_environment(key) {
        Some(how) => format!("give it {how}, or name a file that holds it in {key}_file"),
        None => format!(
            "name a file that holds it in {key}_file: no shell sets a variable with a hyphen"
        ),
    }
}

/// A secret as configured.
pub(super) enum Secret {
    /// Neither the key nor its file is configured.
    Absent,
    /// It is configured, and cannot be used; the fault is noted.
    Faulty,
    /// It can be used.
    Given(SecretString),
}

/// A key that cannot be read, whose fault is noted.
pub(super) struct FaultRecorded;

/// A rule that secrets of a kind obey beside the common ones: the problem and the remedy, or
/// `None`.
pub(super) type SecretRule = fn(&str) -> Option<(String, String)>;

/// The longest secret, in bytes: a longer one is another file.
const SECRET_BYTES_MAX: usize = 256;

/// Returns what is wrong with any secret, never quoting it.
fn secret_problem(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("it is configured, and empty")
    } else if text.contains(char::is_whitespace) {
        Some("it holds white space")
    } else if text.len() > SECRET_BYTES_MAX {
        Some("it is longer than 256 bytes")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("it holds characters that are not printable ASCII")
    } else {
        None
    }
}

impl Reader {
    /// Reads a text from a key, or from the file that `<key>_file` names, without the ends of
    /// lines after it, which editors and Kubernetes Secrets add. Returns it with the key that
    /// gave it.
    ///
    /// # Errors
    /// [`FaultRecorded`] when it is given twice or cannot be read; the fault is noted.
    pub(super) fn text_or_file(
        &mut self,
        key: &str,
    ) -> Result<Option<(String, String)>, FaultRecorded> {
        let file_key = format!("{key}_file");
        let (at, text) = match (self.text(key), self.text(&file_key)) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let remedy = format!("give {key} or {file_key}, not both");
                self.fault(key, "it is given twice", remedy);
                return Err(FaultRecorded);
            }
            (Some(text), None) => (key.to_owned(), text),
            (None, Some(file)) => match std::fs::read_to_string(&file) {
                Ok(text) => (file_key, text),
                Err(error) => {
                    let problem = format!("{file:?} cannot be read: {error}");
                    self.fault(&file_key, problem, "name a readable file of one line");
                    return Err(FaultRecorded);
                }
            },
        };
        Ok(Some((at, text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// Reads a secret from the environment, or from the file that `<key>_file` names. What
    /// is configured must be usable: an empty secret never means "none".
    pub(super) fn secret(&mut self, key: &str, rule: SecretRule) -> Secret {
        let (at, text) = match self.text_or_file(key) {
            Ok(Some(given)) => given,
            Ok(None) => return Secret::Absent,
            Err(FaultRecorded) => return Secret::Faulty,
        };
        let text = text.as_str();
        let common = secret_problem(text).map(|problem| {
            let remedy = format!("{}; leave both out for none", give_secret(key));
            (problem.to_owned(), remedy)
        });
        match common.or_else(|| rule(text)) {
            None => Secret::Given(SecretString::from(text.to_owned())),
            Some((problem, remedy)) => {
                self.fault(&at, problem, remedy);
                Secret::Faulty
            }
        }
    }
}

/// Faults for secrets that stand in the TOML file.
pub(super) fn secrets_in(leaves: &FlatKeys) -> Vec<Fault> {
    let fault = |(key, values): (&String, &Vec<String>)| {
        let leaf = key.rsplit('.').next().unwrap_or_default();
        let is_of_account = key.starts_with("accounts.");
        if is_of_account && ["pin", "callback_secret"].contains(&leaf) {
            return Some(Fault {
                key: key.clone(),
                problem: "a secret stands in the TOML file".to_owned(),
                remedy: give_secret(key),
            });
        }
        let may_hold_password = key == "store.url" || is_of_account && leaf == "proxy";
        let holds_password = || {
            let url = values.join(",").parse::<reqwest::Url>().ok();
            url.is_some_and(|url| url.password().is_some())
        };
        (may_hold_password && holds_password()).then(|| Fault {
            key: key.clone(),
            problem: "a password stands in the TOML file".to_owned(),
            remedy: give_url(key),
        })
    };
    leaves.iter().filter_map(fault).collect()
}

/// Builds the remedy for a URL whose password stands in the TOML file.
fn give_url(key: &str) -> String {
    if key == "store.url" {
        format!("give the URL in the environment as {}", variable(key))
    } else {
        give_secret(key)
    }
}
