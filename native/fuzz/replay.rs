//! Inputs of a fuzz target, run once each by the tests of its crate: the seeds in `corpus/`, and in `regressions/` what was
//! found. `hack/fuzz TARGET` begins with the same files.

use std::path::Path;

/// Runs a target on every file that is kept for it; answers on how many.
pub(crate) fn replay(target: &str, run: impl Fn(&[u8])) -> usize {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut count = 0;
    for kept in ["corpus", "regressions"] {
        let Ok(entries) = std::fs::read_dir(fuzz.join(kept).join(target)) else { continue };
        for entry in entries.flatten() {
            if let Ok(bytes) = std::fs::read(entry.path()) {
                run(&bytes);
                count += 1;
            }
        }
    }
    count
}
