//! What a gateway exposes at `/metrics`.

use super::{process::PATIENCE, world::Gateway};

pub async fn metrics(gateway: &Gateway) -> String {
    let url = format!("http://{}/metrics", gateway.admin);
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// The sum of the series whose line begins with `name` and holds `label`; 0 without one.
pub fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let of_series = |line: &&str| line.starts_with(name) && line.contains(label);
    let values = metrics.lines().filter(of_series);
    values
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Waits until such a sum is as wanted.
pub async fn until(gateway: &Gateway, name: &str, label: &str, wanted: impl Fn(f64) -> bool) {
    let found = async {
        while !wanted(sum(&metrics(gateway).await, name, label)) {
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("{name}{{{label}}} never came to what is wanted"));
}
