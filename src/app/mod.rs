//! The composition root: builds the components, binds the listeners, runs, and shuts down in order.

mod accounts;
mod background;
mod grpc_server;
mod health;
mod listeners;
mod process;

pub use process::App;
