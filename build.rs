//! Generates the gRPC code and the descriptor set from `proto/`; no `protoc` needs to be installed.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 11] = [
    "okebayar/gateway/v1/account_service.proto",
    "okebayar/gateway/v1/date.proto",
    "okebayar/gateway/v1/error_reason.proto",
    "okebayar/gateway/v1/field.proto",
    "okebayar/gateway/v1/inquiry.proto",
    "okebayar/gateway/v1/inquiry_service.proto",
    "okebayar/gateway/v1/money.proto",
    "okebayar/gateway/v1/notice_service.proto",
    "okebayar/gateway/v1/pln.proto",
    "okebayar/gateway/v1/transaction.proto",
    "okebayar/gateway/v1/transaction_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptor.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}
