//! SELinux: the contexts of a container's program, of its keys, and of what is mounted for it (proc_pid_attr(5)).

use crate::error::{StepError, StepResult, failed, io_failed};
use crate::spec::{Mount, Spec};
use rustix::fs::{Mode, OFlags, XattrFlags, fgetxattr, fsetxattr, getxattr, openat, setxattr};
use rustix::io::Errno;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::Path;

/// Is there where the kernel has SELinux and its file system is mounted.
const ENFORCE: &str = "/sys/fs/selinux/enforce";

/// Contexts that the calling thread asks for.
const ATTRIBUTES: &str = "/proc/thread-self/attr";

/// The attribute of a file that holds its context, ended by a zero byte.
pub(crate) const XATTR: &str = "security.selinux";

/// The longest context, as the kernel has it (a page).
const LONGEST: usize = 4095;

/// Filesystems whose files the policy labels by itself, or that one mount option cannot speak for: the message queues
/// of an ipc namespace are one filesystem that was there before.
const UNLABELLED: [&str; 5] = ["proc", "sysfs", "mqueue", "cgroup2", "podwright-shm"];

/// A context must be one: user:role:type and perhaps a level, without anything that ends an option or a line. PURE.
///
/// # Errors
/// It is none.
pub fn check(object: &str, label: &str) -> StepResult<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-:,".contains(&b);
    let parts = label.split(':').take(3).filter(|part| !part.is_empty()).count();
    if label.is_empty() || (label.bytes().all(good) && parts == 3 && label.len() <= LONGEST) {
        return Ok(());
    }
    Err(StepError::invalid("read", object, &format!("{label:?} is no SELinux context")))
}

/// The contexts of a spec need a kernel that has them. To be called where the host's /sys is.
///
/// # Errors
/// It has not.
pub(crate) fn need(spec: &Spec) -> StepResult<()> {
    need_for("process.selinuxLabel", spec.process.as_ref().map_or("", |process| &process.selinux_label))?;
    need_for("linux.mountLabel", &spec.linux.mount_label)
}

/// The same of one of them.
///
/// # Errors
/// As [`need`].
pub(crate) fn need_for(object: &str, label: &str) -> StepResult<()> {
    if label.is_empty() || Path::new(ENFORCE).exists() {
        return Ok(());
    }
    Err(StepError::unsupported("read", object, "this kernel has no SELinux"))
}

/// Has the next exec of this process, or of one it forks, go into a context, and keys made before it belong to that; an
/// empty one asks for nothing. To be called where the host's /proc is.
///
/// # Errors
/// The policy does not know the context, or does not let this process give it.
pub(crate) fn set_on_exec(label: &str) -> StepResult<()> {
    if label.is_empty() { Ok(()) } else { ask(ATTRIBUTES, label) }
}

/// Takes that back: the next exec goes where the policy sends it.
///
/// # Errors
/// The errno of the write.
pub(crate) fn set_none_on_exec() -> StepResult<()> {
    ask(ATTRIBUTES, "")
}

fn ask(attributes: &str, label: &str) -> StepResult<()> {
    for name in ["exec", "keycreate"] {
        let file = format!("{attributes}/{name}");
        let attribute = rustix::fs::open(&file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "set SELinux context",
            "open",
            &file,
        ))?;
        // one write is one context; one of nothing takes it back
        rustix::io::write(&attribute, label.as_bytes()).map(drop).or_else(|e| refused(label, e))?;
    }
    Ok(())
}

fn refused(label: &str, errno: Errno) -> StepResult<()> {
    match errno {
        Errno::INVAL => Err(StepError::invalid("set SELinux context", label, "the policy does not know it")),
        e => Err(failed("set SELinux context", "write", label)(e)),
    }
}

/// The mount option of a context, for fsconfig(2); mount(2) wants it quoted. PURE.
pub(crate) fn option(label: &str) -> Option<String> {
    (!label.is_empty()).then(|| format!("context={label}"))
}

/// What a new filesystem of a spec is mounted with besides its own options. PURE.
pub(crate) fn mount_option(mount: &Mount, label: &str) -> Option<String> {
    let has_own = mount.options.iter().any(|o| o.starts_with("context="));
    option(label).filter(|_| !has_own && !UNLABELLED.contains(&mount.kind.as_str()))
}

/// Gives the root directory of a filesystem a context, unless the filesystem knows none; an empty one leaves it. Needs no
/// /proc: with a user namespace the container's root lies over the host's by then.
///
/// # Errors
/// The failing call; the policy does not know the context.
pub(crate) fn label_root(root: BorrowedFd<'_>, label: &str) -> StepResult<()> {
    if label.is_empty() {
        return Ok(());
    }
    // a descriptor that is no O_PATH one: extended attributes do not go through those
    let directory = openat(root, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("set SELinux context of", "openat", "a new mount"))?;
    let mut now = [0; LONGEST + 1];
    if fgetxattr(&directory, XATTR, &mut now[..]).is_ok_and(|size| is_label(&now, size, label)) {
        return Ok(());
    }
    match fsetxattr(&directory, XATTR, format!("{label}\0").as_bytes(), XattrFlags::empty()) {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(e) => Err(failed("set SELinux context of", "fsetxattr", "a new mount")(e)),
    }
}

/// Gives what is open (O_PATH will do, also of a link) a context, if it has another. To be called where the host's
/// /proc is.
///
/// # Errors
/// The errno of setxattr.
pub(crate) fn set_label(file: BorrowedFd<'_>, label: &str) -> Result<(), Errno> {
    // a path, because extended attributes do not go through O_PATH; it leads to this very file and not on
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut now = [0; LONGEST + 1];
    if getxattr(&path, XATTR, &mut now[..]).is_ok_and(|size| is_label(&now, size, label)) {
        return Ok(());
    }
    setxattr(&path, XATTR, format!("{label}\0").as_bytes(), XattrFlags::empty())
}

/// Whether the first `size` bytes of an attribute are this context; the byte that ends it may be missing.
fn is_label(value: &[u8], size: usize, label: &str) -> bool {
    value.get(..size).is_some_and(|value| value.strip_suffix(b"\0").unwrap_or(value) == label.as_bytes())
}

/// A file's path as the kernel has it now, links resolved.
///
/// # Errors
/// The errno of readlink.
pub(crate) fn path_of(file: BorrowedFd<'_>) -> StepResult<std::path::PathBuf> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::read_link(&link).map_err(io_failed("look at", "readlink", link))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn contexts_are_told_from_what_is_none() {
        for good in ["", "u:r:t", "system_u:system_r:container_t:s0:c1,c1023", "u:object_r:t.x-y:s0-s15:c0.c7"] {
            check("x", good).unwrap();
        }
        let bad =
            ["x", "u:r", "u::t", ":r:t", "u:r:t\n", "u:r:t:s0\",uid=0", "u:r:t s0", "u:r:t\0", "u:r:é", "u:r:t\\"];
        for bad in bad {
            assert_eq!(check("x", bad).unwrap_err().kind, Kind::Invalid, "{bad}");
        }
        check("x", &"a:".repeat(3000)).unwrap_err();
    }

    #[test]
    fn new_filesystems_get_the_context_as_an_option() {
        let label = "u:r:t:s0:c1,c2";
        let mount = |kind: &str, options: &[&str]| Mount {
            kind: kind.into(),
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            ..Mount::default()
        };
        for kind in ["tmpfs", "devpts", "cgroup"] {
            assert_eq!(mount_option(&mount(kind, &[]), label).as_deref(), Some("context=u:r:t:s0:c1,c2"), "{kind}");
            assert_eq!(mount_option(&mount(kind, &[]), ""), None, "{kind}");
        }
        for kind in UNLABELLED {
            assert_eq!(mount_option(&mount(kind, &[]), label), None, "{kind}");
        }
        assert_eq!(mount_option(&mount("tmpfs", &["context=a:b:c"]), label), None);
    }

    #[test]
    fn both_attributes_get_the_context() {
        let dir = std::env::temp_dir().join(format!("podwright-selinux-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for name in ["exec", "keycreate"] {
            std::fs::write(dir.join(name), "").unwrap();
        }
        ask(dir.to_str().unwrap(), "u:r:t:s0").unwrap();
        for name in ["exec", "keycreate"] {
            assert_eq!(std::fs::read_to_string(dir.join(name)).unwrap(), "u:r:t:s0");
        }
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(ask(dir.to_str().unwrap(), "u:r:t:s0").unwrap_err().syscall, "open");
    }
}
