//! Kernel parameters of the sandbox's namespaces: which ones are allowed, and writing them.

use crate::reply::{failure, sys_failure};
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{CreateSandbox, Failure, NamespaceMode, Sysctl};
use podwright_sys::errno::SysError;

/// The file of a parameter below /proc/sys, as sysctl(8) reads names: the separator is the
/// first of `.` and `/` to appear, and the other one stands for itself. PURE.
fn file(name: &str) -> Option<String> {
    let dotted = name.find('.') < name.find('/').or(Some(usize::MAX)) && name.contains('.');
    let swap = |c| match c {
        '.' if dotted => '/',
        '/' if dotted => '.',
        other => other,
    };
    let path: String = name.chars().map(swap).collect();
    let sound = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    sound.then(|| format!("/proc/sys/{path}"))
}

/// Whether a parameter belongs to a namespace that the sandbox has of its own. PURE.
fn allowed(path: &str, net: bool, ipc: bool) -> Result<(), &'static str> {
    let name = path.strip_prefix("/proc/sys/").unwrap_or(path);
    let of_ipc = name == "kernel/sem"
        || name.starts_with("kernel/shm")
        || name.starts_with("kernel/msg")
        || name.starts_with("fs/mqueue/");
    match (name.starts_with("net/"), of_ipc) {
        (true, _) if net => Ok(()),
        (_, true) if ipc => Ok(()),
        (true, _) => Err("the sandbox uses the host's network namespace"),
        (_, true) => Err("the sandbox uses the host's ipc namespace"),
        _ => Err("it belongs to no namespace of the sandbox"),
    }
}

/// Checks every parameter of the request. PURE.
pub(crate) fn check(request: &CreateSandbox) -> Result<(), Box<Failure>> {
    let own = |mode: NamespaceMode| mode == NamespaceMode::Pod;
    for Sysctl { name, .. } in &request.sysctls {
        let refuse =
            |why: &str| failure(Kind::Invalid, "set sysctl", name, format!("sysctl {name} cannot be set: {why}"));
        let path = file(name).ok_or_else(|| refuse("it is no name of a sysctl"))?;
        allowed(&path, own(request.net()), own(request.ipc())).map_err(refuse)?;
    }
    Ok(())
}

/// Writes every parameter; the calling process must be in the sandbox's namespaces.
pub(crate) fn apply(sysctls: &[Sysctl]) -> Result<(), Box<Failure>> {
    for Sysctl { name, value } in sysctls {
        let path = file(name).unwrap_or_default();
        std::fs::write(&path, value).map_err(|e| {
            let error = SysError::from_io("set sysctl", "write", &e, format!("{name}={value}"));
            let refused = matches!(e.raw_os_error(), Some(errno) if errno == rustix::io::Errno::INVAL.raw_os_error());
            let mut failure = sys_failure(&error);
            failure.kind = if refused { Kind::Invalid.into() } else { Kind::Internal.into() };
            failure
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_files() {
        let table = [
            ("net.ipv4.ip_forward", Some("/proc/sys/net/ipv4/ip_forward")),
            ("net/ipv4/conf/eth0.1/rp_filter", Some("/proc/sys/net/ipv4/conf/eth0.1/rp_filter")),
            ("net.ipv4.conf.eth0/1.rp_filter", Some("/proc/sys/net/ipv4/conf/eth0.1/rp_filter")),
            ("net/../kernel/core_pattern", None),
            ("net..x", None),
            ("", None),
        ];
        for (name, path) in table {
            assert_eq!(file(name).as_deref(), path, "{name}");
        }
    }

    #[test]
    fn only_own_namespaces_are_written() {
        let table = [
            ("net/core/somaxconn", true, false, true),
            ("net/core/somaxconn", false, true, false),
            ("kernel/shmmax", false, true, true),
            ("kernel/msgmax", true, false, false),
            ("kernel/sem", false, true, true),
            ("fs/mqueue/msg_max", false, true, true),
            ("kernel/core_pattern", true, true, false),
            ("kernel/semantics", true, true, false),
            ("vm/overcommit_memory", true, true, false),
        ];
        for (name, net, ipc, expected) in table {
            assert_eq!(allowed(&format!("/proc/sys/{name}"), net, ipc).is_ok(), expected, "{name} {net} {ipc}");
        }
    }
}
