//! The scenarios of the sandbox, which the account number selects.

use std::time::Duration;

/// The reply to a purchase or payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioReply {
    /// The first status, at once.
    Answer,
    /// The first status, after the delay in which other purchases settle.
    Slow,
    /// The first status, after the client's time-out.
    TooLate,
    /// No reply; the connection stays open.
    Silence,
    /// A connection reset after the purchase has been processed.
    Reset,
    /// A connection reset before anything is processed.
    ResetBefore,
    /// HTTP status 500.
    Error,
    /// A web page.
    Html,
    /// Half of the answer, then an aborted connection.
    Truncated,
    /// The first status, with a wrong content type.
    WrongContentType,
    /// An answer like that to an inquiry.
    LikeInquiry,
}

/// The answers to status checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioChecks {
    /// The status of the purchase.
    PurchaseStatus,
    /// This status code, which is not the purchase's, in the first [`MISLEADING_CHECKS`] answers;
    /// in all of them where nothing was processed.
    OtherStatus(u16),
    /// A connection reset for the first [`MISLEADING_CHECKS`].
    Reset,
    /// An inquiry under the same reference code in the first [`MISLEADING_CHECKS`] answers.
    Inquiry,
}

/// The member (`userid`) in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// The member of the request.
    Own,
    /// Another member.
    Another,
    /// The member of the request, mostly masked.
    Masked,
}

/// The number of status checks that are misleading before they return the purchase's status.
pub const MISLEADING_CHECKS: u64 = 3;

/// The script of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// The reply to the POST.
    pub reply: ScenarioReply,
    /// The first status code.
    pub first: u16,
    /// The later status code, if the status changes.
    pub later: Option<u16>,
    /// The status codes of the callbacks, in the order in which they are sent.
    pub callbacks: &'static [u16],
    /// The answers to status checks.
    pub checks: ScenarioChecks,
    /// The member in answers.
    pub member: Member,
}

impl Script {
    /// Returns the final status code.
    #[must_use]
    pub fn last(&self) -> u16 {
        self.later.unwrap_or(self.first)
    }

    /// Returns true when the purchase charges the deposit.
    #[must_use]
    pub fn charges(&self) -> bool {
        self.first < 2 || self.last() < 200
    }
}

/// A row of the scenario table.
pub struct Scenario {
    /// The account number that selects the scenario.
    pub account_number: &'static str,
    /// The description, which the README repeats.
    pub description: &'static str,
    /// The script.
    pub script: Script,
}

const SUCCESS: Script = Script {
    reply: ScenarioReply::Answer,
    first: 0,
    later: None,
    callbacks: &[],
    checks: ScenarioChecks::PurchaseStatus,
    member: Member::Own,
};
const PENDING: Script = Script {
    first: 2,
    later: Some(0),
    callbacks: &[0],
    ..SUCCESS
};
/// A success that only status checks report.
const ONLY_CHECKS: Script = Script {
    callbacks: &[],
    ..PENDING
};

const fn row(account_number: &'static str, description: &'static str, script: Script) -> Scenario {
    Scenario {
        account_number,
        description,
        script,
    }
}

/// The account numbers with a scenario of their own. A purchase for any other one succeeds at once,
/// without a callback.
pub const SCENARIOS: [Scenario; 29] = [
    row(
        "080000000001",
        "success without serial number (001), which comes later by callback",
        Script {
            first: 1,
            ..PENDING
        },
    ),
    row(
        "080000000002",
        "pending (002), then success by callback",
        PENDING,
    ),
    row(
        "080000000003",
        "pending (002), then failure (200) by callback",
        Script {
            later: Some(200),
            callbacks: &[200],
            ..PENDING
        },
    ),
    row(
        "080000000004",
        "pending (002), then success; the callback is lost",
        ONLY_CHECKS,
    ),
    row(
        "080000000005",
        "processed, but the answer never comes; a callback reports success",
        Script {
            reply: ScenarioReply::Silence,
            callbacks: &[0],
            ..SUCCESS
        },
    ),
    row(
        "080000000006",
        "processed, then the connection is reset; a callback reports success",
        Script {
            reply: ScenarioReply::Reset,
            callbacks: &[0],
            ..SUCCESS
        },
    ),
    row(
        "080000000007",
        "processed, but neither answer nor callback ever comes",
        Script {
            reply: ScenarioReply::Silence,
            ..SUCCESS
        },
    ),
    row(
        "080000000008",
        "processed, then the connection is reset; the callback is lost",
        Script {
            reply: ScenarioReply::Reset,
            ..SUCCESS
        },
    ),
    row(
        "080000000009",
        "pending (002) for ever",
        Script {
            later: None,
            ..ONLY_CHECKS
        },
    ),
    row(
        "080000000010",
        "success, answered as late as others settle",
        Script {
            reply: ScenarioReply::Slow,
            ..SUCCESS
        },
    ),
    row(
        "080000000011",
        "re-queued (003), then success by callback",
        Script {
            first: 3,
            ..PENDING
        },
    ),
    row(
        "080000000012",
        "pending (002), then success; the callback comes twice",
        Script {
            callbacks: &[0, 0],
            ..PENDING
        },
    ),
    row(
        "080000000013",
        "pending (002), then success; the callbacks come in the wrong order",
        Script {
            callbacks: &[0, 2],
            ..PENDING
        },
    ),
    row(
        "080000000014",
        "the connection is reset before anything is processed; checks answer `--not-found-code`",
        Script {
            reply: ScenarioReply::ResetBefore,
            ..SUCCESS
        },
    ),
    row(
        "080000000015",
        "processed, answered with HTTP 500; the callback is lost",
        Script {
            reply: ScenarioReply::Error,
            ..SUCCESS
        },
    ),
    row(
        "080000000016",
        "processed, answered with a web page; the callback is lost",
        Script {
            reply: ScenarioReply::Html,
            ..SUCCESS
        },
    ),
    row(
        "080000000017",
        "processed, the answer is truncated; the callback is lost",
        Script {
            reply: ScenarioReply::Truncated,
            ..SUCCESS
        },
    ),
    row(
        "080000000018",
        "success, answered under a wrong content type",
        Script {
            reply: ScenarioReply::WrongContentType,
            ..SUCCESS
        },
    ),
    row(
        "080000000019",
        "success, answered later than a client waits (`--late-after`); the callback is lost",
        Script {
            reply: ScenarioReply::TooLate,
            ..SUCCESS
        },
    ),
    row(
        "080000000020",
        "pending (002), then success; the first three checks are answered 202",
        Script {
            checks: ScenarioChecks::OtherStatus(202),
            ..ONLY_CHECKS
        },
    ),
    row(
        "080000000021",
        "pending (002), then success; the first three checks are answered 206",
        Script {
            checks: ScenarioChecks::OtherStatus(206),
            ..ONLY_CHECKS
        },
    ),
    row(
        "080000000022",
        "pending (002), then success; the first three checks are answered 207",
        Script {
            checks: ScenarioChecks::OtherStatus(207),
            ..ONLY_CHECKS
        },
    ),
    row(
        "080000000023",
        "pending (002), then success; the first three checks are reset",
        Script {
            checks: ScenarioChecks::Reset,
            ..ONLY_CHECKS
        },
    ),
    row(
        "080000000024",
        "pending (002), then failure (200); the first three checks find an inquiry's 000",
        Script {
            later: Some(200),
            checks: ScenarioChecks::Inquiry,
            ..ONLY_CHECKS
        },
    ),
    row(
        "080000000025",
        "success, then a callback and checks that report failure (200)",
        Script {
            later: Some(200),
            callbacks: &[200],
            ..SUCCESS
        },
    ),
    row(
        "080000000026",
        "answered like an inquiry (000 with `inquiryexpired`), in truth a failure (200) later",
        Script {
            reply: ScenarioReply::LikeInquiry,
            later: Some(200),
            ..ONLY_CHECKS
        },
    ),
    row(
        "080000000027",
        "success, but every answer names another member (`userid`)",
        Script {
            member: Member::Another,
            ..SUCCESS
        },
    ),
    row(
        "080000000028",
        "success, but every answer masks the member (`userid`)",
        Script {
            member: Member::Masked,
            ..SUCCESS
        },
    ),
    row(
        SELLS_INQUIRIES,
        "success; an inquiry about it is sold: `querycode` is ignored",
        SUCCESS,
    ),
];

/// The account number whose inquiries are processed as purchases: `querycode` is ignored.
pub const SELLS_INQUIRIES: &str = "080000000029";

/// The prefix of account numbers whose inquiries are answered with the status code in the three
/// digits after it.
pub const INQUIRY_CODE_PREFIX: &str = "080000008";

/// The prefix of account numbers whose purchases are answered with the status code in the three
/// digits after it.
pub const CODE_PREFIX: &str = "080000009";

/// The prefix of account numbers whose purchases are queued while the connection is reset. The
/// first checks are answered with the status code in the three digits after it, as if the reference
/// code had never been received; the purchase succeeds in the end.
pub const QUEUED_PREFIX: &str = "080000007";

/// The prefix of account numbers whose purchases are never received: the connection is reset, and
/// checks are answered with the status code in the three digits after it.
pub const NOT_RECEIVED_PREFIX: &str = "080000006";

/// The default status code of a check about an unknown reference code. OKEBAYAR does not
/// document one.
pub const NOT_FOUND_DEFAULT: u16 = 400;

/// Returns the script of a purchase for an account number.
#[must_use]
pub fn script_for(account_number: &str) -> Script {
    if let Some(row) = SCENARIOS
        .iter()
        .find(|row| row.account_number == account_number)
    {
        return row.script;
    }
    if let Some(code) = code_in(account_number, QUEUED_PREFIX) {
        return Script {
            reply: ScenarioReply::Reset,
            checks: ScenarioChecks::OtherStatus(code),
            ..ONLY_CHECKS
        };
    }
    if let Some(code) = code_in(account_number, NOT_RECEIVED_PREFIX) {
        return Script {
            reply: ScenarioReply::ResetBefore,
            checks: ScenarioChecks::OtherStatus(code),
            ..SUCCESS
        };
    }
    Script {
        first: code_in(account_number, CODE_PREFIX).unwrap_or(SUCCESS.first),
        ..SUCCESS
    }
}

/// Returns the status code of an inquiry about an account number.
#[must_use]
pub fn inquiry_code(account_number: &str) -> u16 {
    code_in(account_number, INQUIRY_CODE_PREFIX).unwrap_or_default()
}

fn code_in(account_number: &str, prefix: &str) -> Option<u16> {
    let digits = account_number.strip_prefix(prefix)?;
    digits.parse().ok().filter(|_| digits.len() == 3)
}

/// The default delay after which a purchase takes its later status.
pub const SETTLE_AFTER_DEFAULT: Duration = Duration::from_secs(2);
/// The default validity period of an inquiry.
pub const INQUIRY_VALID_DEFAULT: Duration = Duration::from_mins(30);
/// The default delay of an answer that must arrive after the client's time-out.
pub const LATE_AFTER_DEFAULT: Duration = Duration::from_mins(1);
