//! The admin port: is it alive, is it ready, and how is it doing. For the platform,
//! never for callers or strangers.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::Registry;
use tokio::sync::watch;

use crate::telemetry::prometheus_text;

/// What must be well before calls are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// What is wrong with the store, if anything is.
    pub store: Option<String>,
    /// The gateway is stopping.
    pub is_stopping: bool,
}

impl Readiness {
    /// Everything is well.
    pub const READY: Self = Self {
        store: None,
        is_stopping: false,
    };

    /// What is not ready, one to a line; `None` when everything is.
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

struct Admin {
    readiness: watch::Receiver<Readiness>,
    registry: Registry,
}

/// The routes.
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
    match admin.readiness.borrow().problem() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> String {
    prometheus_text(&admin.registry)
}
