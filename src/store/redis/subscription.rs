//! The subscription to the changes that any gateway commits.

use std::time::Duration;

use futures::StreamExt;
use redis::{ErrorKind, RedisError, RedisResult, Value, aio::PubSub};
use tokio::sync::watch;

use super::{connection::SentFlag, error::failure, store::RedisStore};
use crate::store::{Notification, StoreError, Wake, key::parse_key};

/// The channel to which each commit publishes `<version> <reference>`; `commit.lua` names it
/// too.
pub(super) const WAKE_CHANNEL: &str = "okb:wake";
/// The channel to which every gateway that reads schema 4 is subscribed beside it; nothing is ever
/// published. An earlier release is subscribed to the first one only, so `store upgrade` can tell
/// how many such gateways run.
pub(super) const READER_CHANNEL: &str = "okb:reads:4";
/// The pause between two pings of a subscription.
const PING_INTERVAL: Duration = Duration::from_secs(5);

impl RedisStore {
    /// Subscribes to the changes of all gateways, until the connection breaks.
    pub(super) async fn subscribe(&self, wake: Wake<'_>) -> Result<(), StoreError> {
        // A subscription writes nothing, so its failures are determinate.
        let sent = SentFlag::default();
        let (pubsub, discarded) = self.within(&sent, self.open_subscription()).await?;
        wake(Notification::Listening);
        let receive = |message: &redis::Msg| {
            let Ok(text) = message.get_payload::<String>() else {
                return;
            };
            let Some((version, key)) = text.split_once(' ') else {
                return;
            };
            if let (Ok(version), Ok(key)) = (version.parse(), parse_key(key)) {
                wake(Notification::Change(key, version));
            }
        };
        let received = receive_all(pubsub, self.settings.timeout, discarded, receive).await;
        received.map_err(|error| failure(&error, &sent))
    }

    /// Subscribes at any server: each one receives what is published at any of them. Returns the
    /// subscription, and the number of replaced connections of that server.
    async fn open_subscription(&self) -> RedisResult<(PubSub, watch::Receiver<u64>)> {
        let mut problem = None;
        let servers = self.servers.all().await?;
        // One that hangs leaves the others their share of the time.
        let timeout = self.settings.timeout / u32::try_from(servers.len().max(1)).unwrap_or(1);
        for server in servers {
            // Counted before connecting: the new connection may reach the discarded server.
            let discarded = server.connection.discarded();
            let opening = async {
                let mut pubsub = server.connection.locate().await?.get_async_pubsub().await?;
                pubsub.subscribe(&[WAKE_CHANNEL, READER_CHANNEL]).await?;
                RedisResult::Ok(pubsub)
            };
            let silent = |_| RedisError::from((ErrorKind::Io, "no answer to a subscription"));
            let opened = tokio::time::timeout(timeout, opening).await;
            match opened.map_err(silent).flatten() {
                Ok(pubsub) => return Ok((pubsub, discarded)),
                Err(error) => problem = Some(error),
            }
        }
        let none = || RedisError::from((ErrorKind::Io, "no server to subscribe at"));
        Err(problem.unwrap_or_else(none))
    }
}

/// Calls `receive` with every message of a subscription until its connection ends, or until
/// `discarded` changes because a call discarded its connection. Pings the server: without pings,
/// an unreachable host is indistinguishable from a store without changes.
///
/// # Errors
/// When the server does not answer a ping within `timeout`.
async fn receive_all(
    pubsub: PubSub,
    timeout: Duration,
    mut discarded: watch::Receiver<u64>,
    receive: impl Fn(&redis::Msg),
) -> RedisResult<()> {
    let (mut sink, mut messages) = pubsub.split();
    let pinging = async {
        loop {
            tokio::time::sleep(PING_INTERVAL).await;
            let answered = tokio::time::timeout(timeout, sink.ping::<Value>()).await;
            let silent =
                |_| RedisError::from((ErrorKind::Io, "no reply to a ping of the subscription"));
            if let Err(error) = answered.map_err(silent).flatten() {
                return error;
            }
        }
    };
    let receiving = async {
        while let Some(message) = messages.next().await {
            receive(&message);
        }
    };
    tokio::select! {
        error = pinging => Err(error),
        () = receiving => Ok(()),
        _ = discarded.changed() => Ok(()),
    }
}
