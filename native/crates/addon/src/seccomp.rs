//! Seccomp: profiles compiled once.

use crate::error::{NativeFailure, Outcome};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
    let made =
        Compiled { bpf: STANDARD.encode(program.bytes()), flags: program.flags, instructions: program.insns.len() };
    if kept.len() == MOST_KEPT {
        kept.remove(0);
    }
    kept.push((text, made.clone()));
    Ok(made)
}
