//! The composition root: builds the components, binds the listeners, runs, and shuts down in order.

mod process;

pub use process::App;
