//! An OKEBAYAR that answers each operation with a status code of the test.

use std::sync::{Arc, Mutex};

use okebayar_gateway::okebayar::format::Format;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The answers of an upstream: this code to every POST, except that an inquiry that prepares a
/// payment, or an order that prepares a check, succeeds.
#[derive(Clone, Copy)]
pub struct Script {
    pub code: u16,
    pub prepare: Option<&'static str>,
    pub shape: Shape,
}

/// The fields of answers besides the status.
#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    /// Every documented field.
    Full,
    /// To a check: only an echo of the check, including the trace code of the POST.
    Echo,
    /// To an order: nothing.
    Bare,
}

pub type Shared = Arc<Mutex<Script>>;

pub async fn serve(port: u16, format: Format, script: Shared) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer_one(stream, format, Arc::clone(&script)));
        }
    });
}

pub async fn answer_one(mut stream: TcpStream, format: Format, script: Shared) {
    let mut request = Vec::new();
    while !(request.ends_with(b"}") || request.ends_with(b"</transaction>")) {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let start = request
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let body = String::from_utf8(request[start..].to_vec()).unwrap();
    let as_answer = body.replace("<transaction>", "<transaction-status>");
    let as_answer = as_answer.replace("</transaction>", "</transaction-status>");
    let asked = format.read(as_answer.as_bytes()).unwrap();
    let get = |name: &str| {
        let found = asked.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, text)| text.as_str())
    };
    let operation = match get("transactioncode") {
        "OkeBayar-inquiry" if get("inquirycode").is_empty() => "inquiry",
        "OkeBayar-prabayar" if get("querycode") == "inquiry" => "inquiry",
        "OkeBayar-inquiry" | "OkeBayar-prabayar" => "order",
        "OkeBayar-cek-status" => "check",
        _ => "question",
    };
    let Script {
        code,
        prepare,
        shape,
    } = *script.lock().unwrap();
    let code = match (prepare, operation) {
        (Some("inquiry"), "inquiry") => 0,
        (Some("order"), "order") => 2,
        _ => code,
    };
    let status = format!("{code:03}");
    let account_number = format!("{}{}", get("accnumber"), get("accnumber1"));
    let mut fields = vec![
        ("responsecode", status.as_str()),
        (
            "tracecode",
            if operation == "check" {
                "of-the-check"
            } else {
                "own"
            },
        ),
        ("referencecode", get("referencecode")),
        ("balance", "1.50"),
        ("message", get("message")),
    ];
    if operation == "inquiry" {
        // An inquiry code may be any text; one for each reference code.
        fields.extend([
            ("inquirycode", get("referencecode")),
            ("inquiryexpired", "2099-01-01 00:00:00.000"),
            ("nominal", "1000"),
            ("adminfee", "0"),
        ]);
    } else if code == 0 {
        fields.push(("serialnumber", "11223344"));
    }
    if (operation, shape) == ("order", Shape::Bare) {
        fields.truncate(1);
    } else if (operation, shape) == ("check", Shape::Echo) {
        fields.truncate(1);
        fields.extend(["referencecode", "tracecode"].map(|name| (name, get(name))));
    } else if operation == "check" {
        fields.extend([("productcode", "PULSA10"), ("accnumber", "081234567890")]);
    } else if operation == "inquiry" || operation == "order" {
        fields.push(("accnumber1", account_number.as_str()));
    }
    let body = String::from_utf8(format.write(&fields, &[])).unwrap();
    let body = body.replace("transaction>", "transaction-status>");
    let head = format!("content-length: {}\r\nconnection: close", body.len());
    let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}
