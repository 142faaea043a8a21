//! Faults of a configuration: the key, the problem, and the remedy.

use std::fmt;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as in the TOML file.
    pub key: String,
    /// What is wrong with its value; never holds a secret.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.problem, self.remedy)
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Faults {
    /// A single fault.
    pub(super) fn one(key: &str, problem: &str, remedy: &str) -> Self {
        Self(vec![Fault {
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }])
    }
}
