//! The two formats of the API, and the notation of amounts in each.

/// The format of a request; its answer and its callbacks use the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFormat {
    /// One flat object.
    Json,
    /// One element for each name.
    Xml,
}

impl WireFormat {
    /// Detects the format of a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        if body.trim_ascii_start().starts_with(b"<") {
            Self::Xml
        } else {
            Self::Json
        }
    }

    /// Returns the media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }
}

/// Formats an amount in rupiah as answers write it.
#[must_use]
pub fn rupiah(amount: u64, format: WireFormat) -> String {
    match format {
        WireFormat::Json => format!("{amount}.00"),
        WireFormat::Xml => amount.to_string(),
    }
}
