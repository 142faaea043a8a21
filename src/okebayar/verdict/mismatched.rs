//! What is kept of an answer that is not believed.

use crate::{
    okebayar::{answer::Answer, mismatch::Mismatch},
    transaction::{Details, Finding, Source, Statement, Unknown},
};

/// Builds what is kept of an answer that names our reference code and one thing that is not
/// ours. Nothing in it is believed: its trace code must not become ours, so it is only a text,
/// and its serial number may be somebody else's, so it is not kept.
pub(super) fn mismatched(source: Source, answer: &Answer, differs: Mismatch) -> Statement {
    let trace_code = answer.details.trace_code.as_ref();
    // Each check has a trace code of its own: kept, every check would be an entry of its own.
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
        ..Statement::bare(source, Finding::Unknown(Unknown::AboutAnother))
    }
}
