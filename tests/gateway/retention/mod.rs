//! Records that end: what callers see of a retired transaction, and what is left of it.

mod config;
mod guards;
mod memory;
mod notes;
mod records;
mod replicas;
mod retired;
mod support;
