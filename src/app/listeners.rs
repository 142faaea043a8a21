//! The listeners of a gateway.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::config::Settings;

/// The listeners of a gateway.
pub(super) struct Listeners {
    pub(super) grpc: TcpListener,
    pub(super) callbacks: TcpListener,
    pub(super) admin: TcpListener,
}

impl Listeners {
    /// Binds all listeners.
    pub(super) async fn bind(settings: &Settings) -> Result<Self> {
        Ok(Self {
            grpc: bind(settings.grpc_listen, "grpc.listen").await?,
            callbacks: bind(settings.callbacks.listen, "callbacks.listen").await?,
            admin: bind(settings.admin_listen, "admin.listen").await?,
        })
    }

    /// Returns the bound addresses of gRPC, callbacks and admin, in this order.
    pub(super) fn addresses(&self) -> Result<(SocketAddr, SocketAddr, SocketAddr)> {
        Ok((
            self.grpc.local_addr()?,
            self.callbacks.local_addr()?,
            self.admin.local_addr()?,
        ))
    }
}

/// Binds an address; `key` is its configuration key.
async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key}: {address} cannot be bound; free it or configure another"))
}
