//! docs/API.md, rendered from the contract and its comments.

use std::fmt::Write as _;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor,
};

use super::{
    contract::{
        PACKAGE, Type, comment, fields, files, idempotency, is_redacted, linked_names, services,
        types,
    },
    markdown::{Links, table},
};

/// The reference of the well-known types.
const WELL_KNOWN: &str = "https://protobuf.dev/reference/protobuf/google.protobuf/";

const HEAD: &str = "\
<!-- Generated from proto/ by `make docs`. Do not edit. -->

# API

Every service, method, message and enum of the package `okebayar.gateway.v1`, as `proto/` describes
them. [ERRORS.md](ERRORS.md) lists the errors and the next step after each outcome,
[VERSIONING.md](VERSIONING.md) states what may change.

- Fields are listed in the order of the contract. Every field but those marked `optional` has a
  default when it is absent: an empty text, 0, false, or no message.
- A request field is *Required* or *Optional*, as its comment says. Every violation of a request is
  reported at once, in a `google.rpc.BadRequest`.
- *Personal or secret* marks a field with the option `debug_redact`: it identifies a person or may
  quote what does, or it is worth money. Never log it.
- The idempotency level of a method is `NO_SIDE_EFFECTS` (it only reads), `IDEMPOTENT` (the same
  request may be sent again) or `IDEMPOTENCY_UNKNOWN` (nothing may repeat it by itself).
";

/// Renders the page.
pub fn render(pool: &DescriptorPool) -> String {
    let names = linked_names(pool);
    let page = ApiPage {
        links: Links {
            names: &names,
            page: "",
        },
    };
    let (services, files) = (services(pool), files(pool));
    let mut out = HEAD.to_owned();
    out += "\n## Contents\n\n";
    for service in &services {
        let methods: Vec<_> = service.methods().collect();
        let methods: Vec<_> = methods
            .iter()
            .map(|method| page.links.to(method.name()))
            .collect();
        writeln!(
            out,
            "- {}: {}",
            page.links.to(service.name()),
            methods.join(", ")
        )
        .unwrap();
    }
    let with_types = || files.iter().filter(|file| !types(file).is_empty());
    for file in with_types() {
        let found = types(file);
        let found: Vec<_> = found
            .iter()
            .map(|found| page.links.to(found.name()))
            .collect();
        writeln!(
            out,
            "- {}: {}",
            page.links.to(base_name(file.name())),
            found.join(", ")
        )
        .unwrap();
    }
    out += "\n## Services\n";
    for service in &services {
        out += &page.service(service);
    }
    out += "\n## Messages and enums\n";
    for file in with_types() {
        writeln!(out, "\n### {}", base_name(file.name())).unwrap();
        for found in types(file) {
            out += &match found {
                Type::Message(message) => page.message(&message),
                Type::Enum(of_values) => page.of_values(&of_values),
            };
        }
    }
    out
}

struct ApiPage<'a> {
    links: Links<'a>,
}

impl ApiPage<'_> {
    fn service(&self, service: &ServiceDescriptor) -> String {
        let (file, own) = (service.parent_file(), service.name());
        let text = self.links.paragraphs(&comment(&file, service.path()), own);
        let mut out = format!("\n### {own}\n\n{text}\n");
        for method in service.methods() {
            let streamed = if method.is_server_streaming() {
                "a stream of "
            } else {
                ""
            };
            assert!(
                !method.is_client_streaming(),
                "no method has a stream of requests"
            );
            writeln!(
                out,
                "\n#### {}\n\nRequest: {}. Response: {streamed}{}. Idempotency: `{}`.\n\n{}",
                method.name(),
                self.links.to(method.input().name()),
                self.links.to(method.output().name()),
                idempotency(&method),
                self.links
                    .paragraphs(&comment(&file, method.path()), method.name()),
            )
            .unwrap();
        }
        out
    }

    fn message(&self, message: &MessageDescriptor) -> String {
        let (file, own) = (message.parent_file(), message.name());
        let text = self.links.paragraphs(&comment(&file, message.path()), own);
        let mut rows = Vec::new();
        let mut last_oneof = None;
        for field in fields(message) {
            let oneof = field
                .containing_oneof()
                .filter(|oneof| !oneof.is_synthetic());
            if let Some(oneof) = oneof.as_ref().filter(|_| last_oneof != oneof) {
                let text = self.links.cell(&comment(&file, oneof.path()), own);
                rows.push([
                    String::new(),
                    format!("`{}`", oneof.name()),
                    "oneof".to_owned(),
                    text,
                ]);
            }
            let mut name = format!("`{}`", field.name());
            if let Some(oneof) = &oneof {
                name = format!("`{}`.{name}", oneof.name());
            }
            let mut text = self.links.cell(&comment(&file, field.path()), own);
            if is_redacted(&field) {
                text += " *Personal or secret.*";
            }
            rows.push([field.number().to_string(), name, self.type_of(&field), text]);
            last_oneof = oneof;
        }
        let reserved = reserved(
            message
                .reserved_ranges()
                .map(|range| (range.start, range.end - 1)),
            message.reserved_names().map(str::to_owned),
        );
        let table = if rows.is_empty() {
            "The message has no fields.\n".to_owned()
        } else {
            table(["number", "field", "type", "description"], &rows)
        };
        format!("\n#### {own}\n\n{text}\n\n{table}{reserved}")
    }

    fn of_values(&self, of_values: &EnumDescriptor) -> String {
        let (file, own) = (of_values.parent_file(), of_values.name());
        let text = self
            .links
            .paragraphs(&comment(&file, of_values.path()), own);
        let rows: Vec<_> = of_values
            .values()
            .map(|value| {
                let text = self.links.cell(&comment(&file, value.path()), own);
                [
                    value.number().to_string(),
                    format!("`{}`", value.name()),
                    text,
                ]
            })
            .collect();
        let reserved = reserved(
            of_values
                .reserved_ranges()
                .map(|range| (*range.start(), *range.end())),
            of_values.reserved_names().map(str::to_owned),
        );
        let table = table(["number", "value", "description"], &rows);
        format!("\n#### {own}\n\n{text}\n\n{table}{reserved}")
    }

    fn type_of(&self, field: &FieldDescriptor) -> String {
        if let Kind::Message(entry) = field.kind()
            && field.is_map()
        {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            let (key, value) = (self.kind(&key.kind()), self.kind(&value.kind()));
            return format!("map of {key} to {value}");
        }
        let kind = self.kind(&field.kind());
        if field.is_list() {
            format!("repeated {kind}")
        } else if field.field_descriptor_proto().proto3_optional() {
            format!("optional {kind}")
        } else {
            kind
        }
    }

    fn kind(&self, kind: &Kind) -> String {
        match kind {
            Kind::Message(message) if message.package_name() == PACKAGE => {
                self.links.to(message.name())
            }
            Kind::Message(message) => {
                let anchor = message.name().to_lowercase();
                format!("[{}]({WELL_KNOWN}#{anchor})", message.full_name())
            }
            Kind::Enum(of_values) => self.links.to(of_values.name()),
            scalar => format!("`{scalar:?}`"),
        }
    }
}

/// Renders the numbers and names that are never used again.
fn reserved(
    ranges: impl Iterator<Item = (impl Into<i64>, impl Into<i64>)>,
    names: impl Iterator<Item = String>,
) -> String {
    let numbers = ranges.flat_map(|(first, last)| first.into()..=last.into());
    let numbers = numbers.map(|number| number.to_string());
    let all: Vec<_> = numbers
        .chain(names.map(|name| format!("`{name}`")))
        .collect();
    if all.is_empty() {
        return String::new();
    }
    format!("\nReserved, never to be used again: {}.\n", all.join(", "))
}

fn base_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap()
}
