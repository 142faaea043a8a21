//! The metrics and the admin interface of a gateway.

use super::{process::PATIENCE, world::Gateway};

pub async fn metrics(gateway: &Gateway) -> String {
    let url = format!("http://{}/metrics", gateway.admin);
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// Returns the sum of the series whose line begins with `name` and contains `label`, or 0 without
/// one.
pub fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let of_series = |line: &&str| line.starts_with(name) && line.contains(label);
    let values = metrics.lines().filter(of_series);
    values
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Waits until `wanted` accepts such a sum.
pub async fn until(gateway: &Gateway, name: &str, label: &str, wanted: impl Fn(f64) -> bool) {
    let found = async {
        while !wanted(sum(&metrics(gateway).await, name, label)) {
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("{name}{{{label}}} never reached the expected value"));
}

/// Waits until the counter of answers that differ in a field has reached this value.
pub async fn counted(gateway: &Gateway, field: &str, at_least: u32) {
    let series =
        format!("okebayar_answers_differing_total{{field=\"{field}\",okebayar_account=\"main\"");
    let mut last = None;
    let found = async {
        loop {
            let url = format!("http://{}/metrics", gateway.admin);
            let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
            let mut lines = metrics.lines();
            let line = lines.find(|line| line.starts_with(&series));
            last = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            if last.is_some_and(|last| last >= f64::from(at_least)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let is_found = tokio::time::timeout(PATIENCE, found).await.is_ok();
    assert!(is_found, "{field} is {last:?}, not {at_least}");
}

pub async fn admin(gateway: &Gateway, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{}{path}", gateway.admin))
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Returns the value of a series, selected by its name and first labels.
pub fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until a series has reached a value, and returns the metrics.
pub async fn metrics_when(gateway: &Gateway, series: &str, at_least: f64) -> String {
    let found = async {
        loop {
            let (_, metrics) = admin(gateway, "/metrics").await;
            if value(&metrics, series).is_some_and(|value| value >= at_least) {
                return metrics;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .unwrap_or_else(|_| panic!("{series} never reached {at_least}"))
}

/// Waits until the gateway has noticed that the caller of a purchase disconnected.
pub async fn purchase_is_cancelled(gateway: &Gateway) {
    let method = "okebayar.gateway.v1.TransactionService/PurchasePrepaid";
    let series = format!(
        "rpc_server_call_duration_seconds_count{{rpc_method=\"{method}\",\
         rpc_response_status_code=\"CANCELLED\""
    );
    metrics_when(gateway, &series, 1.0).await;
}
