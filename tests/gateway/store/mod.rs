//! The back ends of the store.

pub mod contract;
pub mod copy;
pub mod copy_safety;
pub mod embedded_file;
pub mod encryption;
pub mod erasure;
pub mod redis_connection;
pub mod redis_rights;
pub mod rolling_upgrade;
pub mod schema;
pub mod schema_upgrade;
pub mod servers;
pub mod sizes;
pub mod stats;
pub mod traffic;
pub mod verify;
