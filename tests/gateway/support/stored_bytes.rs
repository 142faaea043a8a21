//! What a Redis holds, read as its commands return it.

use redis::{Value, aio::MultiplexedConnection, from_redis_value};

use super::redis::Redis;

/// Returns every value of every key, except the script cache.
pub async fn everything(redis: &Redis) -> Vec<u8> {
    let mut connection = redis.connection().await;
    let keys: Vec<String> = ask(&mut connection, &["KEYS", "*"]).await;
    let mut all = Vec::new();
    for key in keys {
        all.extend_from_slice(key.as_bytes());
        let kind: String = ask(&mut connection, &["TYPE", &key]).await;
        let value: Value = match kind.as_str() {
            "string" => ask(&mut connection, &["GET", &key]).await,
            "hash" => ask(&mut connection, &["HGETALL", &key]).await,
            "list" => ask(&mut connection, &["LRANGE", &key, "0", "-1"]).await,
            "zset" => ask(&mut connection, &["ZRANGE", &key, "0", "-1"]).await,
            "stream" => ask(&mut connection, &["XRANGE", &key, "-", "+"]).await,
            other => panic!("{key} is a {other}"),
        };
        collect(&value, &mut all);
    }
    all
}

async fn ask<T: redis::FromRedisValue>(
    connection: &mut MultiplexedConnection,
    command: &[&str],
) -> T {
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]);
    let answer: Value = asked.query_async(connection).await.unwrap();
    from_redis_value(answer).unwrap()
}

fn collect(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::BulkString(bytes) => {
            to.extend_from_slice(bytes);
            to.push(b'\n');
        }
        Value::Array(values) | Value::Set(values) => {
            for value in values {
                collect(value, to);
            }
        }
        Value::Map(pairs) => {
            for (key, value) in pairs {
                collect(key, to);
                collect(value, to);
            }
        }
        Value::SimpleString(text) => to.extend_from_slice(text.as_bytes()),
        _ => {}
    }
}

/// Returns true when the bytes hold a text.
pub fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}
