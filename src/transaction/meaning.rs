//! What OKEBAYAR's status codes mean, in English (API page, section 5). For
//! readers only: what a code proves is decided in `okebayar::verdict`.

use super::codes::StatusCode;

impl StatusCode {
    /// The documented meaning, or what the rule for undocumented codes says.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.documented().unwrap_or(match self.number() {
            ..200 => "undocumented, not final",
            _ => "undocumented, final",
        })
    }

    /// The documented meaning; `None` for a code that the page does not list.
    #[must_use]
    pub fn documented(self) -> Option<&'static str> {
        Some(match self.number() {
            0 => "success",
            1 => "success, serial number not available yet or none",
            2 => "pending: accepted, being processed",
            3 => "first attempt failed, re-queued automatically",
            200 => "product unavailable or out of stock",
            201 => "biller or operator trouble",
            202 => "server trouble",
            203 => "deposit exhausted",
            204 => "wrong account or destination number",
            205 => "wrong product code",
            206 => "bad format",
            207 => "authentication: user id, PIN or signature wrong",
            208 => "duplicate: says nothing about the first request's outcome",
            210 => "cross region or cluster refused",
            211 => "invalid signature",
            212 => "IP address not registered",
            213 => "user id invalid",
            214 => "request expired",
            215 => "account cannot receive this transaction",
            216 => "inquired date invalid",
            217 => "ordered or departure date invalid",
            232 => "product code and account do not match",
            233 => "account exceeds the maximum number of bills",
            234 => "transaction cancelled",
            240 => "unidentified error",
            241 => "transaction code unknown",
            260 => "refund failed",
            261 => "invalid PIN",
            270 => "wrong product code in a product status check",
            400 => "bill not found or not yet available",
            401 => "inquiry already paid or invalid",
            402 => "payment data differ from the inquiry's",
            403 => "inquiry expired",
            404 => "wrong customer data or meter number, or too many bills",
            405 => "no inquiry was made before",
            500 => "account number blacklisted",
            510 => "invalid re-hit request",
            _ => return None,
        })
    }
}
