//! The admin port: liveness, readiness and metrics. It is for the platform only and must not be
//! reachable by callers or from outside.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::Registry;
use tokio::sync::watch;

use crate::telemetry::prometheus_text;

/// The conditions for readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The problem of the store, if it has one.
    pub store: Option<String>,
    /// The problems of parts of the store. They do not make the gateway unready: the other parts
    /// serve their transactions.
    pub store_parts: Vec<String>,
    /// The gateway is shutting down.
    pub is_stopping: bool,
}

impl Readiness {
    /// The readiness of a gateway without problems.
    pub const READY: Self = Self {
        store: None,
        store_parts: Vec::new(),
        is_stopping: false,
    };

    /// Returns the text of a gateway that is ready: the parts of the store that are not, one to a
    /// line.
    fn ready_text(&self) -> String {
        let parts = self.store_parts.iter();
        let parts = parts.map(|problem| format!("store: {problem}\n"));
        std::iter::once("ready\n".to_owned()).chain(parts).collect()
    }

    /// Returns the problems, one to a line; `None` when the gateway is ready.
    fn problem(&self) -> Option<String> {
        let store = self
            .store
            .as_ref()
            .map(|problem| format!("store: {problem}\n"));
        let stopping = self
            .is_stopping
            .then(|| "gateway: it is stopping\n".to_owned());
        let problem: String = [store, stopping].into_iter().flatten().collect();
        Some(problem).filter(|problem| !problem.is_empty())
    }
}

/// The state of the routes.
struct Admin {
    readiness: watch::Receiver<Readiness>,
    registry: Registry,
}

/// Builds the routes.
pub fn router(readiness: watch::Receiver<Readiness>, registry: Registry) -> Router {
    let admin = Admin {
        readiness,
        registry,
    };
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(admin))
}

async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    let readiness = admin.readiness.borrow();
    match readiness.problem() {
        None => (StatusCode::OK, readiness.ready_text()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> String {
    prometheus_text(&admin.registry)
}
