//! Callbacks sent by a test.

use reqwest::StatusCode;

pub async fn post(url: &str, body: impl Into<reqwest::Body>) -> StatusCode {
    reqwest::Client::new()
        .post(url)
        .body(body)
        .send()
        .await
        .unwrap()
        .status()
}
