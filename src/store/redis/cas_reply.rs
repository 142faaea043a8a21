//! The reply of a script that compares and sets.

use redis::{FromRedisValue, RedisResult, Value};

/// The reply of a script that compares and sets.
pub(super) enum CasReply<T> {
    /// The script wrote.
    Done,
    /// The script wrote nothing, and returned the stored value.
    Stored(Option<T>),
    /// The script wrote nothing: the store has another epoch or seal.
    OtherEpoch,
    /// The script wrote nothing: the record was retired, and this is its tombstone.
    Retired(T),
}

impl<T: FromRedisValue> CasReply<T> {
    /// Reads `{1}`, `{0, stored}`, `{-1}` or `{-2, tombstone}`.
    pub(super) fn read(reply: Vec<Value>) -> RedisResult<Self> {
        let mut reply = reply.into_iter();
        Ok(match reply.next().map_or(Ok(0), i64::from_redis_value)? {
            1 => Self::Done,
            -1 => Self::OtherEpoch,
            -2 => {
                let tombstone = reply.next().unwrap_or(Value::Nil);
                Self::Retired(T::from_redis_value(tombstone)?)
            }
            _ => {
                let stored = reply.next().map(Option::<T>::from_redis_value);
                Self::Stored(stored.transpose()?.flatten())
            }
        })
    }
}
