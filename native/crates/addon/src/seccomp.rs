//! Seccomp: profiles compiled once.

use crate::error::{NativeFailure, Outcome};
use neon::types::extract::Json;
use podwright_seccomp::{Profile, SeccompError, compile};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// Profiles kept compiled, most recently used last. A node has a handful: one RuntimeDefault for
/// each set of capabilities in use, and some local files.
const MOST_KEPT: usize = 32;

static COMPILED: Mutex<Vec<(String, Compiled)>> = Mutex::new(Vec::new());

impl From<SeccompError> for NativeFailure {
    fn from(e: SeccompError) -> Self {
        let operation = "compile seccomp profile".into();
        Self { operation, syscall: "seccomp-profile".into(), errno: 0, object: String::new(), message: e.to_string() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CompileArgs {
    profile_json: String,
}

#[derive(Clone, Serialize)]
struct Compiled {
    bpf: String,
    flags: u32,
    instructions: usize,
}

/// Compiles an OCI seccomp profile for this machine; equal texts are compiled once.
#[neon::export]
fn seccomp_compile(Json(args): Json<CompileArgs>) -> Json<Outcome<Compiled>> {
    Json(compiled(args.profile_json).into())
}

fn compiled(text: String) -> Result<Compiled, SeccompError> {
    let mut kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = kept.iter().position(|(t, _)| *t == text) {
        let hit = kept.remove(at);
        let found = hit.1.clone();
        kept.push(hit);
        return Ok(found);
    }
    let program = compile(&Profile::parse(&text)?)?;
    let made = Compiled { bpf: base64(&program.bytes()), flags: program.flags, instructions: program.insns.len() };
    if kept.len() == MOST_KEPT {
        kept.remove(0);
    }
    kept.push((text, made.clone()));
    Ok(made)
}

/// RFC 4648 base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |w, b| (w << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at)) as usize & 63] as char;
            text.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_as_in_the_rfc() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|t| base64(t.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }
}
