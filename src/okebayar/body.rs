//! The body of one signed request.

use secrecy::ExposeSecret;

use super::{
    account::{Account, Credentials},
    format::Format,
    personal,
    redact::RequestSecrets,
    send_by::SendBy,
    signature::sign,
};

/// The body of one signed request. It holds the PIN, so it has no `Debug`.
pub struct Body {
    operation: &'static str,
    transaction_code: String,
    product_code: Option<String>,
    format: Format,
    bytes: Vec<u8>,
    send_by: Option<SendBy>,
    secrets: RequestSecrets,
    personal: Vec<String>,
}

impl Body {
    /// Returns the name of the operation, for metrics and logs.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns the wire name of the operation.
    #[must_use]
    pub fn transaction_code(&self) -> &str {
        &self.transaction_code
    }

    /// Returns the product that the request names; `None` without one.
    #[must_use]
    pub fn product_code(&self) -> Option<&str> {
        self.product_code.as_deref()
    }

    /// Returns the media type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        self.format.content_type()
    }

    /// Sets the deadline after which the body must not leave.
    #[must_use]
    pub fn sent_by(mut self, send_by: SendBy) -> Self {
        self.send_by = Some(send_by);
        self
    }

    /// Returns the deadline after which the body must not leave; `None` without one.
    #[must_use]
    pub fn send_by(&self) -> Option<SendBy> {
        self.send_by
    }

    /// Returns the secrets in the request, which its answer may quote.
    #[must_use]
    pub fn secrets(&self) -> &RequestSecrets {
        &self.secrets
    }

    /// Returns the values in the request that identify a customer. They are never logged.
    #[must_use]
    pub fn personal(&self) -> &[String] {
        &self.personal
    }

    /// Returns the bytes to send. They include the PIN and are never logged.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The fields that JSON writes as numbers, where the account does so.
const AMOUNTS: [&str; 2] = ["nominal", "adminfee"];

/// Builds the signed body of an operation, given its name and its wire name.
pub(super) fn signed(
    account: &Account,
    (operation, transaction_code): (&'static str, &str),
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
    let product_code = parameters.iter().find(|(name, _)| *name == "productcode");
    Body {
        operation,
        transaction_code: transaction_code.to_owned(),
        product_code: product_code.map(|(_, code)| (*code).to_owned()),
        format,
        send_by: None,
        bytes: format.write(&fields, if account.json_numbers { &AMOUNTS } else { &[] }),
        secrets: RequestSecrets::new(pin.clone(), signature),
        personal: personal::of_request(parameters),
    }
}
