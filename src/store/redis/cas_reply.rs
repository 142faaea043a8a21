//! The reply of a script that compares and sets.

use redis::{FromRedisValue, RedisResult, Value};

/// The reply of a script that compares and sets.
pub(super) enum CasReply<T> {
    /// It wrote.
    Done,
    /// It wrote nothing; this is stored.
    Stored(Option<T>),
    /// It wrote nothing: the epoch or the seal is another one.
    OtherEpoch,
}

impl<T: FromRedisValue> CasReply<T> {
    /// Reads `{1}`, `{0, stored}` or `{-1}`.
    pub(super) fn read(reply: Vec<Value>) -> RedisResult<Self> {
        let mut reply = reply.into_iter();
        Ok(match reply.next().map_or(Ok(0), i64::from_redis_value)? {
            1 => Self::Done,
            -1 => Self::OtherEpoch,
            _ => {
                let stored = reply.next().map(Option::<T>::from_redis_value);
                Self::Stored(stored.transpose()?.flatten())
            }
        })
    }
}
