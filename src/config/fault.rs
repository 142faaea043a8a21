//! Faults of a configuration: key, problem and remedy.

use std::fmt;

/// A fault in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as in the TOML file.
    pub key: String,
    /// The problem with its value; never contains a secret.
    pub problem: String,
    /// The remedy.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.problem, self.remedy)
    }
}

/// All faults in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid configuration:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Faults {
    /// Builds a list of a single fault.
    pub(super) fn one(key: &str, problem: &str, remedy: &str) -> Self {
        Self(vec![Fault {
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }])
    }
}
