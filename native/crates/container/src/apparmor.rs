//! AppArmor: the profile that the next exec goes into (apparmor(7), aa_change_onexec(2)).

use crate::error::{StepError, StepResult, io_failed};
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Files of the calling thread, newest first: since Linux 5.8 AppArmor has its own, before it had the
/// one that all security modules share.
const FILES: [&str; 2] = ["/proc/self/attr/apparmor/exec", "/proc/self/attr/exec"];

/// Has the next exec of this process, or of one it forks, run under a profile; an empty name asks for
/// nothing. To be called where the host's /proc is.
///
/// # Errors
/// The kernel has no such profile, or no AppArmor.
pub(crate) fn set_on_exec(profile: &str) -> StepResult<()> {
    if profile.is_empty() { Ok(()) } else { write(&FILES, profile) }
}

fn write(files: &[&str], profile: &str) -> StepResult<()> {
    for path in files {
        let mut file = match std::fs::OpenOptions::new().write(true).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(io_failed("set AppArmor profile", "open", profile)(e)),
        };
        // one write is one command
        return file.write_all(format!("exec {profile}").as_bytes()).map_err(|e| match e.kind() {
            ErrorKind::NotFound => StepError::invalid("set AppArmor profile", profile, "it is not loaded"),
            // the shared file is there without any module that knows the command
            ErrorKind::InvalidInput if !Path::new("/sys/module/apparmor").exists() => {
                StepError::unsupported("set AppArmor profile", profile, "this kernel has no AppArmor")
            }
            _ => io_failed("set AppArmor profile", "write", profile)(e),
        });
    }
    Err(StepError::unsupported("set AppArmor profile", profile, "this kernel has no AppArmor"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn the_first_file_there_is_gets_the_command() {
        let dir = std::env::temp_dir().join(format!("podwright-apparmor-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let (new, old) = (path("new"), path("old"));
        std::fs::write(&old, "").unwrap();
        write(&[&new, &old], "one").unwrap();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "exec one");
        std::fs::write(&new, "").unwrap();
        write(&[&new, &old], "two").unwrap();
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "exec two");
        assert_eq!(write(&[&path("none")], "x").unwrap_err().kind, Kind::Unsupported);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
