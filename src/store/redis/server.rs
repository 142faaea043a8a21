//! One server of a store: the connection of its calls, and the connections of its claims.

use std::{sync::Arc, time::Duration};

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
        })
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
