//! The collaborators of the RPC handlers.

use std::sync::Arc;

use tonic::{Response, Status};

use super::message_cache::MessageCache;
use crate::engine::Engine;

/// The result of a handler.
pub(super) type RpcResult<T> = Result<Response<T>, Status>;

/// The collaborators of the RPC handlers.
#[derive(Clone)]
pub(super) struct RpcContext {
    /// Executes the calls.
    pub(super) engine: Arc<Engine>,
    /// The messages of recent events, shared by all streams of `WatchTransactions`.
    pub(super) messages: MessageCache,
}

impl RpcContext {
    /// Creates the context of an engine, with an empty message cache.
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            messages: MessageCache::default(),
        }
    }
}
