//! The gateway on Redis as it is run in production: under Sentinels, as a cluster, with TLS.

mod acknowledgement;
mod cluster;
mod moves;
mod sentinel;
mod tls;
