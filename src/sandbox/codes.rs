//! The status codes that the sandbox returns (docs/OKEBAYAR.md, section 5).

pub const SUCCESS: u16 = 0;
pub const DEPOSIT_EXHAUSTED: u16 = 203;
pub const WRONG_ACCOUNT: u16 = 204;
pub const WRONG_PRODUCT: u16 = 205;
pub const BAD_FORMAT: u16 = 206;
pub const NOT_AUTHENTICATED: u16 = 207;
pub const DUPLICATE: u16 = 208;
pub const WRONG_SIGNATURE: u16 = 211;
pub const WRONG_USER: u16 = 213;
pub const UNKNOWN_TRANSACTION_CODE: u16 = 241;
pub const INQUIRY_PAID: u16 = 401;
pub const DATA_DIFFER: u16 = 402;
pub const INQUIRY_EXPIRED: u16 = 403;
pub const WRONG_CUSTOMER: u16 = 404;
pub const NO_INQUIRY: u16 = 405;
