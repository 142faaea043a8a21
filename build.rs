//! Generates the gRPC code and the descriptor set from `proto/`; no `protoc` needs to be installed.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 6] = [
    "okebayar/gateway/v1/account.proto",
    "okebayar/gateway/v1/field.proto",
    "okebayar/gateway/v1/inquiry.proto",
    "okebayar/gateway/v1/money.proto",
    "okebayar/gateway/v1/notice.proto",
    "okebayar/gateway/v1/transaction.proto",
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
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
