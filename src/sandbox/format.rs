//! The two formats, and how amounts look in them.

/// In which format a request came; its answer and its callbacks are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFormat {
    /// One flat object.
    Json,
    /// One element for each name.
    Xml,
}

impl WireFormat {
    /// The format of a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        if body.trim_ascii_start().starts_with(b"<") {
            Self::Xml
        } else {
            Self::Json
        }
    }

    /// The media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }
}

/// Rupiah as answers write them.
#[must_use]
pub fn rupiah(amount: u64, format: WireFormat) -> String {
    match format {
        WireFormat::Json => format!("{amount}.00"),
        WireFormat::Xml => amount.to_string(),
    }
}
