//! Questions that move no money: inquiries, balance, echo.

pub mod account_service;
pub mod inquiry_service;
