//! The statement about an answer that names another account number, product or inquiry.

use crate::{
    okebayar::{answer::Answer, mismatch::Mismatch},
    transaction::{Details, Finding, Source, Statement, UnknownCause},
};

/// Builds the statement about an answer that names our reference code and one field that is not
/// ours. It proves nothing. Its trace code is kept as a text only, so that it does not become ours;
/// its serial number may be another customer's and is not kept.
pub(super) fn mismatched(source: Source, answer: &Answer, differs: Mismatch) -> Statement {
    let trace_code = answer.details.trace_code.as_ref();
    // Each check has a trace code of its own, so keeping it would add an entry for each check.
    let trace_code = trace_code.filter(|_| source == Source::Answer);
    let texts = [
        (differs.field(), differs.named(answer)),
        ("tracecode", trace_code.map(ToString::to_string)),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?)));
    Statement {
        code: answer.status_code(),
        details: Details {
            price: answer.details.price,
            extra: texts.collect(),
            ..Details::default()
        },
        ..Statement::bare(source, Finding::Unknown(UnknownCause::AboutAnother))
    }
}
