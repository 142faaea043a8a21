//! Promise 17: all formats carry the same fields, and no input makes a reader panic.

use jiff::tz::TimeZone;
use okebayar_gateway::okebayar::{
    answer::Answer,
    fields::{Fields, Unreadable},
    format::{Format, read_callback},
    interpret::interpret,
    json, xml,
};
use proptest::{collection::vec, prelude::*, sample::select};
use quick_xml::escape::escape;

const KNOWN: [&str; 20] = [
    "tracecode",
    "transactionstatus",
    "responsecode",
    "status",
    "transactiontime",
    "responsetime",
    "serialnumber",
    "harga",
    "balance",
    "productcode",
    "accnumber",
    "accnumber1",
    "referencecode",
    "info",
    "Info",
    "Inquiryexpired",
    "ref1",
    "REF2",
    "nominal",
    "userid",
];

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(KNOWN.to_vec()).prop_map(str::to_owned),
        1 => select(KNOWN.to_vec()).prop_map(str::to_uppercase),
        1 => "[A-Za-z_][A-Za-z0-9_]{0,12}",
    ]
}

/// Generates texts that XML can hold: no control characters except white space.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "000",
            "001",
            "002",
            "204",
            "20A",
            "",
            " 000 ",
            "200501013059123"
        ])
        .prop_map(str::to_owned),
        select(vec!["11000.00", "110000", "1e3", "-5.5", "Rp 5", "105.000"])
            .prop_map(str::to_owned),
        "[ -~\u{a0}-\u{2ff}\t\r\n]{0,20}",
        "\\PC{0,10}",
    ]
}

fn fields() -> impl Strategy<Value = Fields> {
    vec((names(), texts()), 0..8)
}

fn as_xml(fields: &Fields, root: &str) -> String {
    let element = |(name, text): &(String, String)| format!("<{name}>{}</{name}>", escape(text));
    let elements = fields.iter().map(element).collect::<Vec<_>>().concat();
    format!("{{\n<{root}>{elements}</{root}>\n}}\n")
}

fn as_cdata(fields: &Fields, root: &str) -> String {
    let element = |(name, text): &(String, String)| {
        // A carriage return is written as a reference; a literal one ends a line.
        let text = text.replace("]]>", "]]]]><![CDATA[>");
        let text = text.replace('\r', "]]>&#13;<![CDATA[");
        format!("<{name} n='1'><![CDATA[{text}]]></{name}>")
    };
    let elements = fields.iter().map(element).collect::<Vec<_>>().concat();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><{root}><!-- c -->{elements}</{root}>")
}

/// Writes JSON with repeated names, which a map cannot hold, and half of the control characters
/// raw, as in the samples.
fn as_json(fields: &Fields, raw: bool) -> String {
    let text = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        if raw {
            quoted
                .replace("\\n", "\n")
                .replace("\\t", "\t")
                .replace("\\r", "\r")
        } else {
            quoted
        }
    };
    // An escaped backslash before an n is not an escape sequence.
    let usable = |value: &str| !(raw && value.contains('\\'));
    let members: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            let value = if usable(value) {
                text(value)
            } else {
                serde_json::Value::from(value.as_str()).to_string()
            };
            format!("\"\n{name} \": {value}")
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

fn as_query(fields: &Fields) -> Fields {
    let mut url = reqwest::Url::parse("http://gateway/").unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    url.query_pairs()
        .map(|(name, text)| (name.into_owned(), text.into_owned()))
        .collect()
}

fn meaning(fields: Result<Fields, Unreadable>) -> Result<Answer, Unreadable> {
    interpret(fields?, &TimeZone::fixed(jiff::tz::offset(7)))
}

proptest! {
    #[test]
    fn every_format_reads_the_same_fields(fields in fields()) {
        let said = meaning(Ok(fields.clone()));
        prop_assert_eq!(meaning(json::read(as_json(&fields, false).as_bytes())), said.clone());
        prop_assert_eq!(meaning(json::read(as_json(&fields, true).as_bytes())), said.clone());
        prop_assert_eq!(meaning(Ok(as_query(&fields))), said.clone());
        let answer = as_xml(&fields, "Transaction-Status");
        prop_assert_eq!(meaning(Format::Xml.read(answer.as_bytes())), said.clone());
        let answer = as_cdata(&fields, "transaction-status");
        prop_assert_eq!(meaning(Format::Xml.read(answer.as_bytes())), said.clone());
        // A callback may have any root element, and its format is detected from the body.
        prop_assert_eq!(meaning(read_callback(as_xml(&fields, "any").as_bytes())), said.clone());
        prop_assert_eq!(meaning(read_callback(as_json(&fields, false).as_bytes())), said);
    }

    #[test]
    fn request_reads_the_same_in_both_formats(fields in vec(("[a-z][a-z0-9]{0,12}", "(\\PC|[\t\r\n]){0,20}"), 1..8)) {
        let unique: std::collections::BTreeMap<_, _> = fields.into_iter().collect();
        let pairs: Vec<(&str, &str)> =
            unique.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let json = json::read(&json::write(&pairs, &[])).unwrap();
        let xml = xml::read(&xml::write(&pairs), Some("transaction")).unwrap();
        prop_assert_eq!(&json, &xml);
        prop_assert_eq!(json.len(), pairs.len());
    }

    #[test]
    fn arbitrary_bytes_do_not_panic_readers(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..400),
            vec(select(b"<>/&;![]CDATA{}\":,\\ax01= ?-xml#encoding'\xff\x00\n".to_vec()), 0..200),
        ],
    ) {
        for fields in [json::read(&bytes), xml::read(&bytes, None), Format::Xml.read(&bytes), read_callback(&bytes)] {
            drop(meaning(fields));
        }
    }

    #[test]
    fn damaged_answer_does_not_panic_readers(place in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        for name in ["prepaid-response.json", "prepaid-response.xml", "prepaid-inquiry-response.xml"] {
            let mut answer = crate::support::samples::sample(name);
            let place = place.index(answer.len());
            answer[place] = byte;
            drop(meaning(read_callback(&answer)));
        }
    }
}
