//! An OKEBAYAR that answers each request with a text of the test.

use std::sync::Arc;

use futures::future::BoxFuture;
use quick_xml::escape::escape;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub const REFERENCE: &str = "{reference}";

/// Writes an answer, repeated fields included.
pub fn written(format: &str, pairs: &[(&str, &str)], reference_code: &str) -> String {
    let text = |text: &str| text.replace(REFERENCE, reference_code);
    let parts = pairs.iter().map(|(name, value)| match format {
        "json" => format!("\"{name}\":{}", Value::from(text(value))),
        _ => format!("<{name}>{}</{name}>", escape(text(value))),
    });
    let parts: Vec<String> = parts.collect();
    match format {
        "json" => format!("{{{}}}", parts.join(",")),
        _ => format!(
            "<transaction-status>{}</transaction-status>",
            parts.concat()
        ),
    }
}

/// A future answer about a reference code; `None` breaks the connection.
pub type Later = BoxFuture<'static, Option<String>>;

/// Serves answers that become known after the request.
pub async fn serve_later(port: u16, answer: impl Fn(String) -> Later + Send + Sync + 'static) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move { answer_one(stream, &*answer).await });
        }
    });
}

pub async fn answer_one(mut stream: TcpStream, answer: &(impl Fn(String) -> Later + Sync)) {
    let mut request = Vec::new();
    while !(request.ends_with(b"}") || request.ends_with(b"</transaction>")) {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let after = |mark: &str, end: char| {
        let rest = request.split_once(mark)?.1;
        rest.split_once(end).map(|(code, _)| code.to_owned())
    };
    let reference_code = after("\"referencecode\":\"", '"')
        .or_else(|| after("<referencecode>", '<'))
        .unwrap();
    let Some(body) = answer(reference_code).await else {
        return;
    };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // The gateway may reject a body that is too long before it is written.
    let _ = stream.write_all((head + &body).as_bytes()).await;
    let _ = stream.shutdown().await;
}
