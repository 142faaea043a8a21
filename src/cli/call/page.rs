//! Options of a call that returns its list in pages.

use clap::{Args, ValueHint};

/// One page of a list.
#[derive(Args)]
pub struct PageArguments {
    /// Return at most this many, 1 to 200; more counts as 200, and 0 means 100.
    #[arg(long, default_value_t = 0, value_hint = ValueHint::Other)]
    pub page_size: i32,
    /// Continue after the page that returned this `next_page_token`; keep every other option as
    /// it was for that page.
    #[arg(long, default_value = "", value_hint = ValueHint::Other)]
    pub page_token: String,
}
