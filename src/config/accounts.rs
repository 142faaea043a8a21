//! The sections `[accounts.<name>]`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    codes::{read_failed_codes, read_not_received_codes, read_transaction_codes, verify_lists},
    reader::{Fault, FlatKeys, Reader, Secret, give_secret, variable},
    settings::CallbackSettings,
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

/// Faults for secrets that stand in the TOML file.
pub(super) fn secrets_in(leaves: &FlatKeys) -> Vec<Fault> {
    let fault = |(key, values): (&String, &Vec<String>)| {
        let leaf = key.rsplit('.').next().unwrap_or_default();
        let is_of_account = key.starts_with("accounts.");
        if is_of_account && ["pin", "callback_secret"].contains(&leaf) {
            return Some(Fault {
                key: key.clone(),
                problem: "a secret stands in the TOML file".to_owned(),
                remedy: give_secret(key),
            });
        }
        let may_hold_password = key == "store.url" || is_of_account && leaf == "proxy";
        let holds_password = || {
            let url = values.join(",").parse::<reqwest::Url>().ok();
            url.is_some_and(|url| url.password().is_some())
        };
        (may_hold_password && holds_password()).then(|| Fault {
            key: key.clone(),
            problem: "a password stands in the TOML file".to_owned(),
            remedy: give_url(key),
        })
    };
    leaves.iter().filter_map(fault).collect()
}

/// Builds the remedy for a URL whose password stands in the TOML file.
fn give_url(key: &str) -> String {
    if key == "store.url" {
        format!("give the URL in the environment as {}", variable(key))
    } else {
        give_secret(key)
    }
}

/// The account of requests that name none; may be left out where there is one.
pub(super) fn read_default_account(
    reader: &mut Reader,
    accounts: &BTreeMap<AccountName, Option<AccountSettings>>,
) -> Option<AccountName> {
    let names: Vec<&AccountName> = accounts.keys().collect();
    match (reader.text("default_account"), names.as_slice()) {
        (Some(given), names) => {
            let found = names.iter().find(|name| name.as_str() == given);
            if found.is_none() {
                reader.fault(
                    "default_account",
                    format!("{given:?} is not configured"),
                    "name one of accounts.*",
                );
            }
            found.map(|name| (*name).clone())
        }
        (None, [only]) => Some((*only).clone()),
        (None, []) => None,
        (None, _) => {
            reader.fault(
                "default_account",
                "there are several accounts",
                "name the default one",
            );
            None
        }
    }
}

/// Every account by name; `None` for one that is faulty.
pub(super) fn read_accounts(reader: &mut Reader) -> BTreeMap<AccountName, Option<AccountSettings>> {
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
    verify_user_ids(reader, &accounts);
    verify_former_names(reader, &accounts);
    accounts
}

type ReadAccounts = BTreeMap<AccountName, Option<AccountSettings>>;

/// Two accounts of one user id would be one account under two names.
fn verify_user_ids(reader: &mut Reader, accounts: &ReadAccounts) {
    let mut known: BTreeMap<String, &AccountName> = BTreeMap::new();
    for (name, settings) in accounts {
        let Some(settings) = settings else {
            continue;
        };
        let hash = settings.user_id_hash();
        if let Some(other) = known.get(&hash) {
            reader.fault(
                &format!("accounts.{name}.userid"),
                format!("it is the user id of account {other} too"),
                "configure each OKEBAYAR account once",
            );
        } else {
            known.insert(hash, name);
        }
    }
}

/// A former name stands for one account, and is no account of its own.
fn verify_former_names(reader: &mut Reader, accounts: &ReadAccounts) {
    let mut known: BTreeMap<&AccountName, &AccountName> = BTreeMap::new();
    for (name, settings) in accounts {
        let formerly = settings.iter().flat_map(|settings| &settings.formerly);
        let key = format!("accounts.{name}.formerly");
        for former in formerly {
            if accounts.contains_key(former) {
                let problem = format!("{former} is the name of a configured account");
                reader.fault(&key, problem, "list only names that are no longer in use");
            } else if let Some(other) = known.insert(former, name) {
                let problem = format!("{former} stands in accounts.{other}.formerly too");
                reader.fault(&key, problem, "list each former name once");
            }
        }
    }
}

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
    let hours = |text: &str| {
        text.parse::<i8>()
            .ok()
            .filter(|hours| (-12..=14).contains(hours))
    };
    let offset = reader.read(
        &key("utc_offset_hours"),
        "7",
        hours,
        "give whole hours from -12 to 14",
    );
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
            code_lists: CodeLists {
                not_received: not_received?,
                failed: failed?,
                account_numbers: account_numbers?,
            },
            json_numbers: !json_strings?,
            verify_user_id: verify_user_id?,
            zone: TimeZone::fixed(jiff::tz::offset(offset?)),
        },
    })
}

/// False for the first word, true for the second.
fn either(text: &str, first: &str, second: &str) -> Option<bool> {
    match text {
        text if text == first => Some(false),
        text if text == second => Some(true),
        _ => None,
    }
}

/// A proxy that cannot be used is a fault, so `None` then starts nothing.
fn read_proxy(reader: &mut Reader, key: &str) -> Option<reqwest::Url> {
    // It may hold a password, so a file may hold it.
    let (at, text) = reader.text_or_file(key).ok().flatten()?;
    let url = text.parse::<reqwest::Url>().ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    if url.is_none() {
        // The value may hold a password.
        reader.fault(
            &at,
            "it is no proxy",
            "give http://host:port or https://host:port",
        );
    }
    url
}

/// Reads the user id. It is part of every signature: white space round it would make all of
/// them wrong.
fn read_user_id(reader: &mut Reader, key: &str) -> Option<String> {
    let user_id = reader.required(key, "give the member id that OKEBAYAR assigned")?;
    if user_id.contains(|c: char| c.is_whitespace() || c.is_control()) {
        reader.fault(key, "it holds white space", "give the member id alone");
        return None;
    }
    Some(user_id)
}

fn read_pin(reader: &mut Reader, key: &str) -> Option<SecretString> {
    match reader.secret(key, |_| None) {
        Secret::Given(pin) => Some(pin),
        Secret::Faulty => None,
        Secret::Absent => {
            reader.fault(key, "the PIN is missing", give_secret(key));
            None
        }
    }
}

/// The shortest secret of a callback address, in characters: nobody guesses that many.
const CALLBACK_SECRET_CHARS_MIN: usize = 16;

/// Returns what is wrong with a callback secret, and the remedy. It must be what a URL carries
/// to the letter: a proxy or OKEBAYAR may write anything else otherwise (RFC 3986, section 2.3).
fn callback_secret_problem(text: &str) -> Option<(String, String)> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let problem = if !text.bytes().all(is_plain) {
        "it holds characters that a URL does not carry to the letter".to_owned()
    } else if text.len() < CALLBACK_SECRET_CHARS_MIN {
        format!("it is shorter than {CALLBACK_SECRET_CHARS_MIN} characters")
    } else {
        return None;
    };
    let remedy = "give letters, digits, '.', '_', '~' or '-'; `openssl rand -hex 16` makes one, \
                  which is then registered with OKEBAYAR";
    Some((problem, remedy.to_owned()))
}

fn read_callback_secret(reader: &mut Reader, key: &str, pin: Option<&SecretString>) -> Secret {
    let secret = reader.secret(key, callback_secret_problem);
    let is_pin = |secret: &SecretString| {
        pin.is_some_and(|pin| pin.expose_secret() == secret.expose_secret())
    };
    if matches!(&secret, Secret::Given(secret) if is_pin(secret)) {
        let remedy = "give another one: addresses stand in the logs of proxies";
        reader.fault(key, "it is the PIN", remedy);
        return Secret::Faulty;
    }
    secret
}

/// Refuses to believe callbacks that everybody may send: one that is believed settles a
/// transaction.
pub(super) fn verify_trusted(
    reader: &mut Reader,
    accounts: &ReadAccounts,
    callbacks: Option<&CallbackSettings>,
) {
    let is_open = callbacks.is_some_and(CallbackSettings::lets_everybody_call);
    for (name, settings) in accounts {
        let is_at_risk = |settings: &AccountSettings| {
            settings.callback_trusted && settings.callback_secret.is_none()
        };
        if is_open && settings.as_ref().is_some_and(is_at_risk) {
            let remedy = format!(
                "give accounts.{name}.callback_secret_file (`openssl rand -hex 16` makes a \
                 secret), or list OKEBAYAR's addresses in callbacks.allow"
            );
            let problem = "anybody could send a callback, and settle a transaction with it";
            reader.fault(
                &format!("accounts.{name}.callback_trusted"),
                problem,
                remedy,
            );
        }
    }
}

fn read_url(reader: &mut Reader, key: &str, opt_in: &str) -> Option<reqwest::Url> {
    let plain_allowed = reader.flag(opt_in).unwrap_or_default();
    let text = reader.required(key, "give the URL that OKEBAYAR assigned")?;
    let Ok(url) = text.parse::<reqwest::Url>() else {
        reader.fault(key, "it is no URL", "give https://host/path");
        return None;
    };
    // The value may hold a password.
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if has_credentials || url.fragment().is_some() || url.port() == Some(0) {
        let problem = "it holds a user, a password, a fragment or port 0";
        let remedy = "give https://host/path; OKEBAYAR knows the account by userid and PIN";
        reader.fault(key, problem, remedy);
        return None;
    }
    match url.scheme() {
        "https" => Some(url),
        "http" if plain_allowed || is_loopback(&url) => Some(url),
        "http" => {
            let problem = "plain http would send the PIN readable over the network";
            reader.fault(key, problem, format!("give https, or set {opt_in} = true"));
            None
        }
        other => {
            reader.fault(
                key,
                format!("{other:?} cannot be spoken"),
                "give https://host/path",
            );
            None
        }
    }
}

/// Refuses plain http to this machine by a proxy elsewhere, which it would reach over the
/// network.
fn verify_plain_proxy(
    reader: &mut Reader,
    key: &str,
    url: Option<&reqwest::Url>,
    proxy: Option<&reqwest::Url>,
) {
    let (Some(url), Some(proxy)) = (url, proxy) else {
        return;
    };
    if url.scheme() == "http" && is_loopback(url) && !is_loopback(proxy) {
        let problem = "plain http would send the PIN readable to the proxy";
        reader.fault(key, problem, "leave it out, or give an https URL");
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
