//! Compiles the definitions without protoc, and keeps their descriptors for reflection.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "access",
        "agents",
        "approvals",
        "audit",
        "cron",
        "devices",
        "events",
        "gateway",
        "messages",
        "models",
        "runs",
        "security",
        "sessions",
        "subagents",
        "tokens",
    ]
    .map(|name| format!("openclaw/v1/{name}.proto"));
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let files = compiler.file_descriptor_set();
    // The comments are for the generated code; reflection does without them.
    let mut bare = files.clone();
    bare.file.iter_mut().for_each(|file| file.source_code_info = None);
    std::fs::write(out.join("openclaw.bin"), bare.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
