//! The helm chart and the container image.

pub mod helm_chart;
pub mod redis_topologies;
