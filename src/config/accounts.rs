//! The sections `[accounts.<name>]`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::{
    codes::{read_failed_codes, read_not_received_codes, read_transaction_codes, verify_lists},
    credentials::{read_callback_secret, read_pin, read_user_id},
    endpoint::{read_proxy, read_url, verify_plain_proxy},
    reader::Reader,
    secrets::Secret,
};
use crate::{
    okebayar::{
        account::{Account, Credentials},
        account_number::AccountNumberForms,
        deployment_codes::CodeLists,
        format::Format,
        transport::HttpSettings,
    },
    transaction::AccountName,
};

/// The settings of one OKEBAYAR account.
#[derive(Debug)]
pub struct AccountSettings {
    /// The HTTP settings for requests to OKEBAYAR.
    pub http: HttpSettings,
    /// The secret last segment of the callback address, if one is required.
    pub callback_secret: Option<SecretString>,
    /// Accept callbacks as proof, without a confirming status check.
    pub callback_trusted: bool,
    /// Send prepaid inquiries under a reference code that the gateway generates, even if the caller
    /// gives one.
    pub own_inquiry_reference: bool,
    /// Refuse a `max_price` while the price of the product is unknown.
    pub unknown_price_refused: bool,
    /// The former names of the account, under which stored transactions may exist.
    pub formerly: Vec<AccountName>,
    /// The settings of the OKEBAYAR client.
    pub account: Account,
}

impl AccountSettings {
    /// Returns the SHA-256 of the user id in hex, which is what a store records. User ids that
    /// differ in case only are the same member.
    #[must_use]
    pub fn user_id_hash(&self) -> String {
        let user_id = self.account.credentials.user_id.to_lowercase();
        hex::encode(Sha256::digest(user_id))
    }
}

/// Reads all accounts.
pub(super) fn read_accounts(reader: &mut Reader) -> ReadAccounts {
    let names = reader.names_in("accounts");
    if names.is_empty() {
        let remedy = "add a section [accounts.main] with url, userid and pin_file";
        reader.fault("accounts", "no OKEBAYAR account is configured", remedy);
    }
    let mut accounts = BTreeMap::new();
    for text in names {
        let account = read_account(reader, &text);
        match AccountName::parse(text.as_str()) {
            Ok(name) => drop(accounts.insert(name, account)),
            Err(error) => {
                let key = format!("accounts.{text}");
                reader.fault(&key, "invalid account name", error.to_string());
            }
        }
    }
    accounts
}

/// The accounts by name; `None` for a faulty one.
pub(super) type ReadAccounts = BTreeMap<AccountName, Option<AccountSettings>>;

/// Reads one account.
fn read_account(reader: &mut Reader, name: &str) -> Option<AccountSettings> {
    let key = |leaf: &str| format!("accounts.{name}.{leaf}");
    let url = read_url(reader, &key("url"), &key("allow_plain_http"));
    let user_id = read_user_id(reader, &key("userid"));
    let pin = read_pin(reader, &key("pin"));
    let format = reader.read(&key("format"), "json", Format::parse, "use json or xml");
    let timeout = reader.span(&key("timeout"), "45s");
    let connect_timeout = reader.span(&key("connect_timeout"), "10s");
    let proxy = read_proxy(reader, &key("proxy"));
    verify_plain_proxy(reader, &key("proxy"), url.as_ref(), proxy.as_ref());
    let callback_secret = read_callback_secret(reader, &key("callback_secret"), pin.as_ref());
    let callback_trusted = reader.flag(&key("callback_trusted"));
    let own_inquiry_reference = reader.read(
        &key("prepaid_inquiry_reference"),
        "caller",
        |text| either(text, "caller", "own"),
        "use caller or own",
    );
    let unknown_price_refused = reader.read(
        &key("unknown_price"),
        "allow",
        |text| either(text, "allow", "refuse"),
        "use allow or refuse",
    );
    let json_strings = reader.read(
        &key("json_amounts"),
        "number",
        |text| either(text, "number", "string"),
        "use number or string",
    );
    let omits_hyphens = reader.read(
        &key("reference_code_hyphens"),
        "keep",
        |text| either(text, "keep", "omit"),
        "use keep or omit",
    );
    let verify_user_id = reader.read(
        &key("verify_userid"),
        "true",
        |text| text.parse().ok(),
        "use true or false",
    );
    let transaction_codes = read_transaction_codes(reader, &key("transactioncode"));
    let formerly = reader.account_names(&key("formerly"));
    let code_lists = read_code_lists(reader, &key);
    let zone = read_zone(reader, &key("utc_offset_hours"));
    Some(AccountSettings {
        http: HttpSettings {
            url: url?,
            timeout: timeout?,
            connect_timeout: connect_timeout?,
            proxy,
        },
        callback_secret: match callback_secret {
            Secret::Given(secret) => Some(secret),
            Secret::Absent => None,
            Secret::Faulty => return None,
        },
        callback_trusted: callback_trusted?,
        own_inquiry_reference: own_inquiry_reference?,
        unknown_price_refused: unknown_price_refused?,
        formerly: formerly?,
        account: Account {
            format: format?,
            credentials: Credentials {
                user_id: user_id?,
                pin: pin?,
            },
            transaction_codes: transaction_codes?,
            code_lists: code_lists?,
            json_numbers: !json_strings?,
            omits_hyphens: omits_hyphens?,
            verify_user_id: verify_user_id?,
            zone: zone?,
        },
    })
}

/// Reads the rules by which answers are interpreted: lists of status codes, and the forms of
/// account numbers.
fn read_code_lists(reader: &mut Reader, key: &impl Fn(&str) -> String) -> Option<CodeLists> {
    let not_received = read_not_received_codes(reader, &key("not_received_codes"));
    let failed = read_failed_codes(reader, &key("failed_codes"));
    verify_lists(
        reader,
        &key("not_received_codes"),
        not_received.as_ref(),
        failed.as_ref(),
    );
    let account_numbers = reader.read(
        &key("account_number_forms"),
        "exact",
        AccountNumberForms::parse,
        "use exact or msisdn",
    );
    Some(CodeLists {
        not_received: not_received?,
        failed: failed?,
        account_numbers: account_numbers?,
    })
}

/// Reads the offset of OKEBAYAR's times from UTC.
fn read_zone(reader: &mut Reader, key: &str) -> Option<TimeZone> {
    let hours = |text: &str| {
        text.parse::<i8>()
            .ok()
            .filter(|hours| (-12..=14).contains(hours))
    };
    let offset = reader.read(key, "7", hours, "use whole hours from -12 to 14");
    Some(TimeZone::fixed(jiff::tz::offset(offset?)))
}

/// Parses a choice of two words: false for the first, true for the second.
fn either(text: &str, first: &str, second: &str) -> Option<bool> {
    match text {
        text if text == first => Some(false),
        text if text == second => Some(true),
        _ => None,
    }
}
