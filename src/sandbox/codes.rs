//! The status codes that the sandbox returns (docs/OKEBAYAR.md, section 5).

/// The request succeeded.
pub const SUCCESS: u16 = 0;
/// The deposit does not cover the price.
pub const DEPOSIT_EXHAUSTED: u16 = 203;
/// The account number is malformed.
pub const WRONG_ACCOUNT: u16 = 204;
/// The product code is unknown.
pub const WRONG_PRODUCT: u16 = 205;
/// The body or a parameter is malformed, or a parameter is missing.
pub const BAD_FORMAT: u16 = 206;
/// The PIN is wrong.
pub const NOT_AUTHENTICATED: u16 = 207;
/// The same purchase or payment exists under the reference code.
pub const DUPLICATE: u16 = 208;
/// The signature is wrong.
pub const WRONG_SIGNATURE: u16 = 211;
/// The user id is wrong.
pub const WRONG_USER: u16 = 213;
/// The transaction code is unknown.
pub const UNKNOWN_TRANSACTION_CODE: u16 = 241;
/// The inquiry has been paid.
pub const INQUIRY_PAID: u16 = 401;
/// The data of a purchase or payment differ from those of its inquiry.
pub const DATA_DIFFER: u16 = 402;
/// The inquiry has expired.
pub const INQUIRY_EXPIRED: u16 = 403;
/// The customer data of an inquiry are wrong.
pub const WRONG_CUSTOMER: u16 = 404;
/// No inquiry was made before the purchase or payment.
pub const NO_INQUIRY: u16 = 405;
