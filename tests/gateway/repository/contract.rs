//! The contract as its descriptor set describes it, with its comments.

use std::collections::BTreeSet;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor, Value,
};

/// The package of the contract.
pub const PACKAGE: &str = "okebayar.gateway.v1";

/// The services in the order of the pages.
const SERVICES: [&str; 4] = [
    "TransactionService",
    "InquiryService",
    "AccountService",
    "NoticeService",
];

/// The number of the option `debug_redact` in `google.protobuf.FieldOptions`.
const DEBUG_REDACT: u32 = 16;

/// A message or enum.
pub enum Type {
    Message(MessageDescriptor),
    Enum(EnumDescriptor),
}

impl Type {
    pub fn name(&self) -> &str {
        match self {
            Self::Message(message) => message.name(),
            Self::Enum(of_values) => of_values.name(),
        }
    }
}

/// Returns the descriptors that the gateway serves by reflection.
pub fn pool() -> DescriptorPool {
    DescriptorPool::decode(okebayar_gateway::grpc::DESCRIPTOR).unwrap()
}

/// Returns the files of the contract in alphabetical order.
pub fn files(pool: &DescriptorPool) -> Vec<FileDescriptor> {
    let mut files: Vec<_> = pool
        .files()
        .filter(|file| file.package_name() == PACKAGE)
        .collect();
    files.sort_by_key(|file| file.name().to_owned());
    files
}

/// Returns every service in the order of the pages.
pub fn services(pool: &DescriptorPool) -> Vec<ServiceDescriptor> {
    let services: Vec<_> = pool
        .services()
        .filter(|service| service.package_name() == PACKAGE)
        .collect();
    assert_eq!(services.len(), SERVICES.len(), "list the service here");
    let find = |name: &&str| {
        let found = services.iter().find(|service| service.name() == *name);
        found.unwrap().clone()
    };
    SERVICES.iter().map(find).collect()
}

/// Returns the messages and enums of a file in the order of their lines.
pub fn types(file: &FileDescriptor) -> Vec<Type> {
    let messages = file
        .messages()
        .map(|message| (line(file, message.path()), Type::Message(message)));
    let enums = file
        .enums()
        .map(|of_values| (line(file, of_values.path()), Type::Enum(of_values)));
    let mut types: Vec<_> = messages.chain(enums).collect();
    types.sort_by_key(|(line, _)| *line);
    types.into_iter().map(|(_, found)| found).collect()
}

/// Returns the fields of a message in the order of their lines.
pub fn fields(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let file = message.parent_file();
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(|field| line(&file, field.path()));
    fields
}

/// Returns the names that comments refer to, in which a second capital letter excludes the words of
/// a sentence.
pub fn linked_names(pool: &DescriptorPool) -> BTreeSet<String> {
    let types = files(pool).iter().flat_map(types).collect::<Vec<_>>();
    let types = types.iter().map(|found| found.name().to_owned());
    let services = services(pool);
    let methods: Vec<_> = services
        .iter()
        .flat_map(ServiceDescriptor::methods)
        .collect();
    let methods = methods.iter().map(|method| method.name().to_owned());
    let services = services.iter().map(|service| service.name().to_owned());
    let is_distinct = |name: &String| name.chars().filter(char::is_ascii_uppercase).count() > 1;
    types
        .chain(methods)
        .chain(services)
        .filter(is_distinct)
        .collect()
}

/// Returns the comment above a declaration, without the blank that follows `//`.
pub fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.unwrap().location.iter().find(|at| at.path == path);
    let text = location.map_or("", |at| at.leading_comments());
    let lines = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    let text = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
    assert!(!text.is_empty(), "{} {path:?} has no comment", file.name());
    text
}

/// Returns the line of a declaration, counted from 0.
fn line(file: &FileDescriptor, path: &[i32]) -> i32 {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.unwrap().location.iter().find(|at| at.path == path);
    location.unwrap().span[0]
}

/// Returns true for a field that logs and debug output must not show.
pub fn is_redacted(field: &FieldDescriptor) -> bool {
    let options = field.options();
    let value = options.get_field_by_number(DEBUG_REDACT);
    value.is_some_and(|value| *value == Value::Bool(true))
}

/// Returns the idempotency level of a method as the contract spells it.
pub fn idempotency(method: &MethodDescriptor) -> &'static str {
    let options = method.method_descriptor_proto().options.as_ref();
    options.unwrap().idempotency_level().as_str_name()
}

/// Returns the comment of an enum value on one line.
pub fn value_comment(of_values: &EnumDescriptor, number: i32) -> String {
    let value = of_values.get_value(number).unwrap();
    comment(&of_values.parent_file(), value.path())
}
