//! Ports that stay free while nothing listens: outside the kernel's range for outgoing connections.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Returns a port that is free now and that this test run returns only once.
pub fn free() -> u16 {
    // Concurrent test runs begin at different ports.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start) % COUNT;
        let port = FIRST + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
