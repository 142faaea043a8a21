//! What the sandbox does with a purchase: the account number chooses.

use std::time::Duration;

/// How a purchase is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioReply {
    /// With the first status, at once.
    Answer,
    /// With the first status, after the time that others take to settle.
    Slow,
    /// With the first status, later than a client waits.
    TooLate,
    /// Never: the connection stays open.
    Silence,
    /// The connection is reset once the purchase is processed.
    Reset,
    /// The connection is reset before anything is processed.
    ResetBefore,
    /// HTTP 500.
    Error,
    /// A web page.
    Html,
    /// Half of the answer, then the connection breaks.
    Truncated,
    /// With the first status, under a wrong content type.
    WrongContentType,
    /// As an inquiry would be.
    LikeInquiry,
}

/// How status checks are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioChecks {
    /// With the status of the purchase.
    PurchaseStatus,
    /// The first few are answered with this code, which is not the purchase's; every one, where
    /// nothing was processed.
    OtherStatus(u16),
    /// The connections of the first few are reset.
    Reset,
    /// The first few find an inquiry that used the same reference code.
    Inquiry,
}

/// Whom answers name as the member that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// The one that asked.
    Own,
    /// Another one.
    Another,
    /// The one that asked, most of it masked.
    Masked,
}

/// How many checks misbehave before they are well.
pub const MISLEADING_CHECKS: u64 = 3;

/// What happens to a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// How the POST is answered.
    pub reply: ScenarioReply,
    /// The status at first.
    pub first: u16,
    /// The status some time later, if it changes.
    pub later: Option<u16>,
    /// The statuses that callbacks tell, in this order.
    pub callbacks: &'static [u16],
    /// How status checks are answered.
    pub checks: ScenarioChecks,
    /// Whom answers name.
    pub member: Member,
}

impl Script {
    /// The status in the end.
    #[must_use]
    pub fn last(&self) -> u16 {
        self.later.unwrap_or(self.first)
    }

    /// True when the deposit is charged.
    #[must_use]
    pub fn charges(&self) -> bool {
        self.first < 2 || self.last() < 200
    }
}

/// One row of the scenario table.
pub struct Scenario {
    /// The account number that chooses it.
    pub account_number: &'static str,
    /// What it does, as the README tells it.
    pub description: &'static str,
    /// What happens.
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
/// Only checks can tell of the success.
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

/// The account numbers with a behaviour of their own. Any other one succeeds at
/// once, without a callback.
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
        "processed, but the answer never comes; a callback tells of the success",
        Script {
            reply: ScenarioReply::Silence,
            callbacks: &[0],
            ..SUCCESS
        },
    ),
    row(
        "080000000006",
        "processed, then the connection is reset; a callback tells of the success",
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
        "the connection is reset before anything is processed; checks say so (`--not-found-code`)",
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
        "success, then a callback and checks that say failure (200)",
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

/// Inquiries about this account number are purchases: `querycode` is ignored.
pub const SELLS_INQUIRIES: &str = "080000000029";

/// Inquiries about numbers of this beginning and three digits are answered with the
/// status code that the digits say.
pub const INQUIRY_CODE_PREFIX: &str = "080000008";

/// Account numbers of this beginning and three digits are answered with the
/// status code that the digits say.
pub const CODE_PREFIX: &str = "080000009";

/// Account numbers of this beginning and three digits are queued and the connection is reset:
/// the first checks are answered with the status code that the digits say, as of a reference
/// code that was never received, and in the end it succeeds.
pub const QUEUED_PREFIX: &str = "080000007";

/// Account numbers of this beginning and three digits are never received: the connection is
/// reset, and checks are answered with the status code that the digits say.
pub const NOT_RECEIVED_PREFIX: &str = "080000006";

/// The status code with which a check about an unknown reference code is answered: not
/// documented, so a choice.
pub const NOT_FOUND_DEFAULT: u16 = 400;

/// What happens to a purchase for this account number.
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

/// The status code with which an inquiry about this number is answered.
#[must_use]
pub fn inquiry_code(account_number: &str) -> u16 {
    code_in(account_number, INQUIRY_CODE_PREFIX).unwrap_or_default()
}

fn code_in(account_number: &str, prefix: &str) -> Option<u16> {
    let digits = account_number.strip_prefix(prefix)?;
    digits.parse().ok().filter(|_| digits.len() == 3)
}

/// The time after which a purchase takes its later status.
pub const SETTLE_AFTER_DEFAULT: Duration = Duration::from_secs(2);
/// How long an inquiry may be used.
pub const INQUIRY_VALID_DEFAULT: Duration = Duration::from_mins(30);
/// The time after which a client no longer waits for an answer.
pub const LATE_AFTER_DEFAULT: Duration = Duration::from_mins(1);
