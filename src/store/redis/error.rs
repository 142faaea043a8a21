//! Failures of Redis as failures of the store: determinate or indeterminate.

use std::time::Duration;

use redis::RedisError;

use super::connection::SentFlag;
use crate::store::StoreError;

/// The codes with which a server rejects a command before it executes it. Within a script they
/// reject its first write: the server verifies none of these conditions after a write of the
/// script, so the script wrote nothing.
///
/// `NOPERM` is not one of them: the server verifies permissions at each command of a script, so a
/// script without permission to publish fails after it wrote.
const REFUSED_CODES: [&str; 9] = [
    "READONLY",
    "MASTERDOWN",
    "NOAUTH",
    "NOREPLICAS",
    "MISCONF",
    "OOM",
    "CLUSTERDOWN",
    "LOADING",
    // commit.lua and put_note.lua, before their first write.
    "OKBMOVED",
];

/// Maps a failure of the client or the server to a determinate failure when the call was not
/// sent or was rejected, otherwise to an indeterminate result.
pub(super) fn failure(error: &RedisError, sent: &SentFlag) -> StoreError {
    let is_refused = error
        .code()
        .is_some_and(|code| REFUSED_CODES.contains(&code));
    problem(error.to_string(), sent.is_set() && !is_refused)
}

/// Builds the failure of a call that got no reply in time.
pub(super) fn timed_out(timeout: Duration, sent: &SentFlag) -> StoreError {
    problem(format!("no reply within {timeout:?}"), sent.is_set())
}

/// Builds the failure of a reply that cannot be read: the call was executed.
pub(super) fn unreadable_reply(error: &RedisError) -> StoreError {
    StoreError::Indeterminate(error.to_string())
}

fn problem(text: String, is_indeterminate: bool) -> StoreError {
    if is_indeterminate {
        StoreError::Indeterminate(text)
    } else {
        StoreError::Unavailable(text)
    }
}

#[cfg(test)]
mod tests {
    use redis::{ErrorKind, Value};

    use super::*;

    fn sent(is_sent: bool) -> SentFlag {
        let sent = SentFlag::default();
        if is_sent {
            sent.set();
        }
        sent
    }

    fn of_server(code: &str) -> RedisError {
        let line = format!("-{code} refused\r\n");
        let value = redis::parse_redis_value(line.as_bytes()).unwrap();
        let error = match value {
            Value::ServerError(error) => error,
            other => panic!("{other:?} is no error"),
        };
        RedisError::from(error)
    }

    #[test]
    fn failure_is_determinate_only_before_sending_or_when_refused() {
        let broken = RedisError::from((ErrorKind::Io, "broken pipe"));
        assert!(!failure(&broken, &sent(false)).is_indeterminate());
        assert!(failure(&broken, &sent(true)).is_indeterminate());
        for code in REFUSED_CODES {
            let refused = failure(&of_server(code), &sent(true));
            assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
        }
        for code in ["ERR", "NOPERM", "WRONGTYPE", "EXECABORT", "NOSCRIPT"] {
            let failed = failure(&of_server(code), &sent(true));
            assert!(failed.is_indeterminate(), "{failed}");
        }
        assert!(unreadable_reply(&broken).is_indeterminate());
    }

    #[test]
    fn time_out_is_determinate_only_before_sending() {
        let timeout = Duration::from_secs(1);
        assert!(!timed_out(timeout, &sent(false)).is_indeterminate());
        assert!(timed_out(timeout, &sent(true)).is_indeterminate());
    }
}
