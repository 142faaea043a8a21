//! Secrets, which come from the environment or a separate file, never from the TOML file.

use secrecy::SecretString;

use super::{
    fault::Fault,
    flat_keys::{FlatKeys, in_environment, variable},
    reader::Reader,
};

/// Builds the remedy for a secret that is missing, invalid or misplaced.
pub(super) fn secret_remedy(key: &str) -> String {
    match in_environment(key) {
        Some(how) => format!("set it {how}, or set {key}_file to a file that contains it"),
        None => format!(
            "set {key}_file to a file that contains it: shells cannot set a variable with a hyphen"
        ),
    }
}

/// The result of reading a secret.
pub(super) enum Secret {
    /// Neither the key nor its file is set.
    Absent,
    /// The secret is set but invalid; the fault has been recorded.
    Faulty,
    /// The secret is valid.
    Given(SecretString),
}

/// The error for a key whose fault has been recorded.
pub(super) struct FaultRecorded;

/// An additional rule for one kind of secret. It returns the problem and the remedy, or `None`.
pub(super) type SecretRule = fn(&str) -> Option<(String, String)>;

/// The maximum length of a secret, in bytes: anything longer is the wrong file.
const SECRET_BYTES_MAX: usize = 256;

/// Returns the problem of a secret of any kind, without quoting it.
fn secret_problem(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("must not be empty")
    } else if text.contains(char::is_whitespace) {
        Some("must not contain white space")
    } else if text.len() > SECRET_BYTES_MAX {
        Some("longer than 256 bytes")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("contains characters that are not printable ASCII")
    } else {
        None
    }
}

impl Reader {
    /// Reads a text from a key, or from the file in `<key>_file`, and returns it with the key that
    /// was set. Trailing line ends are removed, since editors and Kubernetes Secrets add them.
    ///
    /// # Errors
    /// [`FaultRecorded`] when both keys are set or the file cannot be read.
    pub(super) fn text_or_file(
        &mut self,
        key: &str,
    ) -> Result<Option<(String, String)>, FaultRecorded> {
        let file_key = format!("{key}_file");
        let (at, text) = match (self.text(key), self.text(&file_key)) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let remedy = format!("set {key} or {file_key}, not both");
                self.fault(key, "set twice", remedy);
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

    /// Reads a secret from the environment, or from the file in `<key>_file`. A secret that is set
    /// must be valid: an empty one never means "none".
    pub(super) fn secret(&mut self, key: &str, rule: SecretRule) -> Secret {
        let (at, text) = match self.text_or_file(key) {
            Ok(Some(given)) => given,
            Ok(None) => return Secret::Absent,
            Err(FaultRecorded) => return Secret::Faulty,
        };
        let text = text.as_str();
        let common = secret_problem(text).map(|problem| {
            let remedy = format!("{}; remove both keys for none", secret_remedy(key));
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

/// Returns the faults for secrets in the TOML file.
pub(super) fn secrets_in(keys: &FlatKeys) -> Vec<Fault> {
    let fault = |(key, values): (&String, &Vec<String>)| {
        let leaf = key.rsplit('.').next().unwrap_or_default();
        let is_of_account = key.starts_with("accounts.");
        let is_secret = is_of_account && ["pin", "callback_secret"].contains(&leaf)
            || ["store.password", "store.sentinel_password"].contains(&key.as_str());
        if is_secret {
            return Some(Fault {
                key: key.clone(),
                problem: "secrets are not allowed in the TOML file".to_owned(),
                remedy: secret_remedy(key),
            });
        }
        let may_hold_password = key == "store.url" || is_of_account && leaf == "proxy";
        let holds_password = || {
            let values = values.join(",");
            let urls = values
                .split(',')
                .map(|url| url.trim().parse::<reqwest::Url>());
            urls.flatten().any(|url| url.password().is_some())
        };
        (may_hold_password && holds_password()).then(|| Fault {
            key: key.clone(),
            problem: "passwords are not allowed in the TOML file".to_owned(),
            remedy: url_remedy(key),
        })
    };
    keys.iter().filter_map(fault).collect()
}

/// Builds the remedy for a URL with a password in the TOML file.
fn url_remedy(key: &str) -> String {
    if key == "store.url" {
        format!("set the URL in the environment as {}", variable(key))
    } else {
        secret_remedy(key)
    }
}
