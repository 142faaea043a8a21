//! Records that end: what callers see of a retired transaction, and what is left of it.

mod bills;
mod clocks;
mod config;
mod faults;
mod guards;
mod memory;
mod notes;
mod records;
mod replicas;
mod retired;
mod support;
