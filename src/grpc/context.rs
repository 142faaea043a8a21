//! The collaborators of the RPC handlers.

use tonic::{Response, Status};

use super::message_cache::MessageCache;
use crate::gateway::Gateway;

/// The result of a handler.
pub(super) type RpcResult<T> = Result<Response<T>, Status>;

/// The collaborators of the RPC handlers.
#[derive(Clone)]
pub(super) struct RpcContext {
    /// The rooms that execute the calls.
    pub(super) gateway: Gateway,
    /// The messages of recent events, shared by all streams of `WatchTransactions`.
    pub(super) messages: MessageCache,
}

impl RpcContext {
    /// Creates the context of a gateway, with an empty message cache.
    pub(super) fn new(gateway: Gateway) -> Self {
        Self {
            gateway,
            messages: MessageCache::default(),
        }
    }
}
