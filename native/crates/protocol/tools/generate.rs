//! Writes `src/generated.rs` from `proto/monitor.proto`; with `--check` only compares.
//! Run: `cargo run -p podwright-protocol --features generate --bin generate-protocol`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = root.join("../../../proto");
    let out = std::env::temp_dir().join(format!("podwright-protocol-{}", std::process::id()));
    std::fs::create_dir_all(&out)?;
    prost_build::Config::new().out_dir(&out).compile_protos(&[proto.join("monitor.proto")], &[&proto])?;
    let text = std::fs::read_to_string(out.join("podwright.monitor.v1.rs"))?;
    std::fs::remove_dir_all(&out)?;
    let target = root.join("src/generated.rs");
    if std::env::args().any(|a| a == "--check") {
        if std::fs::read_to_string(&target)? != text {
            return Err("src/generated.rs does not match proto/monitor.proto".into());
        }
        return Ok(());
    }
    std::fs::write(target, text)?;
    Ok(())
}
