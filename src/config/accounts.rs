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
        client::Account, format::Format, request::Credentials, subject::AccountNumberForms,
        transport::HttpSettings, verdict::CodeLists,
    },
    transaction::AccountName,
};

/// One OKEBAYAR account.
#[derive(Debug)]
pub struct AccountSettings {
    /// Where and how OKEBAYAR is reached.
    pub http: HttpSettings,
    /// The last part of the callback address, if one is required.
    pub callback_secret: Option<SecretString>,
    /// Believe callbacks without a confirming status check.
    pub callback_trusted: bool,
    /// A prepaid inquiry goes under a reference code of the gateway's own, whatever the
    /// caller gives.
    pub own_inquiry_reference: bool,
    /// The names under which the account made transactions before it was renamed.
    pub formerly: Vec<AccountName>,
    /// What the client needs.
    pub account: Account,
}

impl AccountSettings {
    /// Returns the SHA-256 of the user id, in hex: the form in which a store knows it. The
    /// case of letters makes no other member.
    #[must_use]
    pub fn user_id_hash(&self) -> String {
        let user_id = self.account.credentials.user_id.to_lowercase();
        hex::encode(Sha256::digest(user_id))
    }
}

/// Every account by name; `None` for one that is faulty.
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
                reader.fault(&key, "its name cannot be used", error.to_string());
            }
        }
    }
    accounts
}

/// Every account by name; `None` for one that is faulty.
pub(super) type ReadAccounts = BTreeMap<AccountName, Option<AccountSettings>>;

fn read_account(reader: &mut Reader, name: &str) -> Option<AccountSettings> {
    let key = |leaf: &str| format!("accounts.{name}.{leaf}");
    let url = read_url(reader, &key("url"), &key("allow_plain_http"));
    let user_id = read_user_id(reader, &key("userid"));
    let pin = read_pin(reader, &key("pin"));
    let format = reader.read(&key("format"), "json", Format::parse, "give json or xml");
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
        "give caller or own",
    );
    let json_strings = reader.read(
        &key("json_amounts"),
        "number",
        |text| either(text, "number", "string"),
        "give number or string",
    );
    let verify_user_id = reader.read(
        &key("verify_userid"),
        "true",
        |text| text.parse().ok(),
        "give true or false",
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
            verify_user_id: verify_user_id?,
            zone: zone?,
        },
    })
}

/// Reads the meaning of codes and the forms of account numbers.
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
        "give exact or msisdn",
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
    let offset = reader.read(key, "7", hours, "give whole hours from -12 to 14");
    Some(TimeZone::fixed(jiff::tz::offset(offset?)))
}

/// False for the first word, true for the second.
fn either(text: &str, first: &str, second: &str) -> Option<bool> {
    match text {
        text if text == first => Some(false),
        text if text == second => Some(true),
        _ => None,
    }
}
