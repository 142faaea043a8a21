//! What the sandbox does with a purchase: the account number chooses.

use std::time::Duration;

/// How a purchase is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// With the first status, at once.
    Answer,
    /// With the first status, after the time that others take to settle.
    Slow,
    /// Never: the connection stays open.
    Silence,
    /// The connection is reset once the purchase is processed.
    Reset,
}

/// What happens to a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// How the POST is answered.
    pub reply: Reply,
    /// The status at first.
    pub first: u16,
    /// The status some time later, if it changes.
    pub later: Option<u16>,
    /// Whether a callback tells of the last status.
    pub callback: bool,
}

impl Script {
    /// The status in the end.
    #[must_use]
    pub fn last(&self) -> u16 {
        self.later.unwrap_or(self.first)
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
    reply: Reply::Answer,
    first: 0,
    later: None,
    callback: false,
};
const PENDING: Script = Script {
    reply: Reply::Answer,
    first: 2,
    later: Some(0),
    callback: true,
};

/// The account numbers with a behaviour of their own. Any other one succeeds at
/// once, without a callback.
pub const SCENARIOS: [Scenario; 10] = [
    Scenario {
        account_number: "080000000001",
        description: "success without serial number (001), which comes later by callback",
        script: Script {
            first: 1,
            ..PENDING
        },
    },
    Scenario {
        account_number: "080000000002",
        description: "pending (002), then success by callback",
        script: PENDING,
    },
    Scenario {
        account_number: "080000000003",
        description: "pending (002), then failure (200) by callback",
        script: Script {
            later: Some(200),
            ..PENDING
        },
    },
    Scenario {
        account_number: "080000000004",
        description: "pending (002), then success; the callback is lost",
        script: Script {
            callback: false,
            ..PENDING
        },
    },
    Scenario {
        account_number: "080000000005",
        description: "processed, but the answer never comes; a callback tells of the success",
        script: Script {
            reply: Reply::Silence,
            callback: true,
            ..SUCCESS
        },
    },
    Scenario {
        account_number: "080000000006",
        description: "processed, then the connection is reset; a callback tells of the success",
        script: Script {
            reply: Reply::Reset,
            callback: true,
            ..SUCCESS
        },
    },
    Scenario {
        account_number: "080000000007",
        description: "processed, but neither answer nor callback ever comes",
        script: Script {
            reply: Reply::Silence,
            ..SUCCESS
        },
    },
    Scenario {
        account_number: "080000000008",
        description: "processed, then the connection is reset; the callback is lost",
        script: Script {
            reply: Reply::Reset,
            ..SUCCESS
        },
    },
    Scenario {
        account_number: "080000000009",
        description: "pending (002) for ever",
        script: Script {
            later: None,
            callback: false,
            ..PENDING
        },
    },
    Scenario {
        account_number: "080000000010",
        description: "success, answered as late as others settle",
        script: Script {
            reply: Reply::Slow,
            ..SUCCESS
        },
    },
];

/// Account numbers of this beginning and three digits are answered with the
/// status code that the digits say.
pub const CODE_PREFIX: &str = "080000009";

/// What happens to a purchase for this account number.
#[must_use]
pub fn script_for(account_number: &str) -> Script {
    if let Some(row) = SCENARIOS
        .iter()
        .find(|row| row.account_number == account_number)
    {
        return row.script;
    }
    let code = account_number
        .strip_prefix(CODE_PREFIX)
        .filter(|digits| digits.len() == 3)
        .and_then(|digits| digits.parse().ok());
    Script {
        first: code.unwrap_or(SUCCESS.first),
        ..SUCCESS
    }
}

/// The time after which a purchase takes its later status.
pub const SETTLE_AFTER_DEFAULT: Duration = Duration::from_secs(2);
