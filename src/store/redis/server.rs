//! One server of a store: the connection of its calls, and the connections of its claims.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, Pipeline, RedisResult, Value};

use super::{
    address::Address,
    claim_connections::ClaimConnections,
    connection::{Connection, SentFlag},
    sentinel::Locator,
};

/// One server, or the current primary that sentinels name.
pub(super) struct Server {
    /// Its address; that of the first sentinel for the primary that sentinels name.
    pub(super) address: Address,
    pub(super) connection: Connection,
    pub(super) claims: ClaimConnections,
    /// It failed the last verification while others answered.
    is_faulty: AtomicBool,
}

impl Server {
    /// Builds a server that is connected at its first call.
    pub(super) fn new(address: Address, locator: Locator, timeout: Duration) -> Arc<Self> {
        let connection = Connection::new(locator, timeout);
        let claims = ClaimConnections::new(connection.clone(), timeout);
        Arc::new(Self {
            address,
            connection,
            claims,
            is_faulty: AtomicBool::new(false),
        })
    }

    /// Keeps the result of a verification.
    pub(super) fn set_faulty(&self, is_faulty: bool) {
        self.is_faulty.store(is_faulty, Ordering::SeqCst);
    }

    /// Returns true when the server failed the last verification: an observation does not wait for
    /// it again.
    pub(super) fn is_faulty(&self) -> bool {
        self.is_faulty.load(Ordering::SeqCst)
    }

    /// Runs a command; `is_asking` is true where another server names this one for the keys of the
    /// command while it moves their slot here.
    pub(super) async fn run(
        &self,
        sent: &SentFlag,
        command: &Cmd,
        is_asking: bool,
    ) -> RedisResult<Value> {
        if !is_asking {
            return self.connection.run(sent, command).await;
        }
        let mut asking = Pipeline::new();
        asking.cmd("ASKING").add_command(command.clone());
        let replies = self.connection.run_all(sent, &asking).await?;
        replies
            .into_iter()
            .next_back()
            .unwrap_or(Value::Nil)
            .extract_error()
    }
}
