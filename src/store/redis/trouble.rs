//! Connection faults that a reply reveals.

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

/// The codes after which the connection must be replaced.
const DISCARD_CODES: [&str; 5] = ["READONLY", "MASTERDOWN", "NOAUTH", "WRONGPASS", "NOPERM"];

/// The codes of a server that may be the right one, but rejects writes for now.
const REFUSAL_CODES: [&str; 4] = ["NOREPLICAS", "MISCONF", "OOM", "CLUSTERDOWN"];

/// The fault that a reply reveals about its connection, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    None,
    /// The server rejects writes for now.
    Refusal,
    /// The connection must be replaced.
    Useless,
}

/// A reply that may hold errors of the server.
pub(super) trait RevealsTrouble {
    /// Returns the worst fault in the reply.
    fn trouble(&self) -> Trouble;
}

impl RevealsTrouble for Value {
    fn trouble(&self) -> Trouble {
        match self {
            Self::ServerError(error) => trouble_of_code(error.code()),
            _ => Trouble::None,
        }
    }
}

impl RevealsTrouble for Vec<Value> {
    fn trouble(&self) -> Trouble {
        let worst = self.iter().map(RevealsTrouble::trouble).max();
        worst.unwrap_or(Trouble::None)
    }
}

fn trouble_of_code(code: &str) -> Trouble {
    if DISCARD_CODES.contains(&code) {
        Trouble::Useless
    } else if REFUSAL_CODES.contains(&code) {
        Trouble::Refusal
    } else {
        Trouble::None
    }
}

/// Classifies an error of the client or the server.
pub(super) fn trouble_of(error: &RedisError) -> Trouble {
    let is_refused = matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed
            | ErrorKind::Server(
                ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::NoPerm
            )
    );
    if is_refused {
        return Trouble::Useless;
    }
    // The code takes precedence over what the client concludes about the connection.
    match error.code().map_or(Trouble::None, trouble_of_code) {
        Trouble::None if error.is_io_error() || error.is_unrecoverable_error() => Trouble::Useless,
        trouble => trouble,
    }
}
