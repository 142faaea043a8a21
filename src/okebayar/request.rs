//! The requests, strict and lower case (API page, section 3).

use secrecy::{ExposeSecret, SecretString};

use super::{client::Account, format::Format, signature::sign};
use crate::transaction::{TraceCode, Transaction};

/// Who asks: one account's credentials. `Debug` hides the PIN.
#[derive(Debug)]
pub struct Credentials {
    /// The member id.
    pub user_id: String,
    /// The PIN, which never reaches a log (promise 15).
    pub pin: SecretString,
}

/// What the operations are called on the wire (API page, 3.1).
#[derive(Clone, Debug)]
pub struct TransactionCodes {
    /// A prepaid purchase.
    pub prepaid: String,
    /// A status check.
    pub check: String,
    /// The deposit.
    pub balance: String,
    /// A test of the connection.
    pub echo: String,
}

/// A request's body: it holds the PIN, so it has no `Debug`.
pub struct Body {
    format: Format,
    bytes: Vec<u8>,
}

impl Body {
    /// The media type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        self.format.content_type()
    }

    /// The bytes to send, PIN included: never to be logged.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The purchase of a prepaid product.
#[must_use]
pub fn purchase(account: &Account, wanted: &Transaction) -> Body {
    let contents = wanted.contents();
    let parameters = [
        ("productcode", contents.product_code.as_str()),
        ("accnumber", contents.account_number.as_str()),
    ];
    let code = &account.transaction_codes.prepaid;
    signed(account, code, wanted.reference_code().as_str(), &parameters)
}

/// The status check of a transaction: by its reference code always, and by the
/// trace code of its own answer when that is known (API page, 3.2).
#[must_use]
pub fn check(account: &Account, asked: &Transaction, trace_code: Option<&TraceCode>) -> Body {
    let parameters = trace_code.map(|code| ("tracecode", code.as_str()));
    let code = &account.transaction_codes.check;
    signed(
        account,
        code,
        asked.reference_code().as_str(),
        parameters.as_slice(),
    )
}

/// The deposit that is left. The reference code is the gateway's own.
#[must_use]
pub fn balance(account: &Account, reference_code: &str) -> Body {
    signed(
        account,
        &account.transaction_codes.balance,
        reference_code,
        &[],
    )
}

/// A test of the connection. The reference code is the gateway's own.
#[must_use]
pub fn echo(account: &Account, reference_code: &str, message: &str) -> Body {
    let parameters = [("message", message)];
    signed(
        account,
        &account.transaction_codes.echo,
        reference_code,
        &parameters,
    )
}

fn signed(
    account: &Account,
    transaction_code: &str,
    reference_code: &str,
    parameters: &[(&str, &str)],
) -> Body {
    let Credentials { user_id, pin } = &account.credentials;
    let signature = sign(user_id, pin, reference_code);
    let mut fields = vec![("transactioncode", transaction_code)];
    fields.extend(parameters);
    fields.extend([
        ("userid", user_id.as_str()),
        ("userpin", pin.expose_secret()),
        ("signature", signature.expose_secret()),
        ("referencecode", reference_code),
    ]);
    let format = account.format;
    Body {
        format,
        bytes: format.write(&fields),
    }
}
