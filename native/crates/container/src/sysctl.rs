//! Kernel parameters of namespaces: their files, and which belong to which namespace.

use crate::error::{Kind, StepError, StepResult, io_failed};
use crate::spec::Linux;

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

/// Whether a parameter belongs to a namespace that is not the host's. PURE.
fn allowed(path: &str, net: bool, ipc: bool) -> Result<(), &'static str> {
    let name = path.strip_prefix("/proc/sys/").unwrap_or(path);
    let of_ipc = name == "kernel/sem"
        || name.starts_with("kernel/shm")
        || name.starts_with("kernel/msg")
        || name.starts_with("fs/mqueue/");
    match (name.starts_with("net/"), of_ipc) {
        (true, _) if net => Ok(()),
        (_, true) if ipc => Ok(()),
        (true, _) => Err("the network namespace is the host's"),
        (_, true) => Err("the ipc namespace is the host's"),
        _ => Err("it belongs to no namespace of the sandbox"),
    }
}

/// Checks a parameter; `net` and `ipc` say which namespaces are not the host's. PURE.
///
/// # Errors
/// It is no name, or belongs to the host.
pub fn check(name: &str, net: bool, ipc: bool) -> StepResult<()> {
    let refuse = |why: &str| StepError::invalid("set sysctl", name, why);
    let path = file(name).ok_or_else(|| refuse("it is no name of a sysctl"))?;
    allowed(&path, net, ipc).map_err(refuse)
}

/// Checks those of a container; `ipc` says whether the pod's ipc namespace is not the host's. PURE.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_spec(linux: &Linux, ipc: bool) -> StepResult<()> {
    let net = linux.namespaces.iter().any(|namespace| namespace.kind == "network");
    linux.sysctl.keys().try_for_each(|name| check(name, net, ipc))
}

/// Writes a parameter that [`check`] let pass; the caller must be in the namespace it belongs to.
///
/// # Errors
/// The errno of the write; a value the kernel does not take is the request's fault.
pub fn write(name: &str, value: &str) -> StepResult<()> {
    let path = file(name).unwrap_or_default();
    std::fs::write(&path, value).map_err(|e| {
        let refused = e.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error());
        let mut error = io_failed("set sysctl", "write", format!("{name}={value}"))(e);
        if refused {
            error.kind = Kind::Invalid;
        }
        error
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::request::Request;
    use crate::spec::Spec;
    use crate::steps::plan;
    use serde_json::json;

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
    fn a_container_writes_none_of_the_host() {
        let table = [
            ("net.core.somaxconn", json!([{"type": "network", "path": "/n"}]), false, true),
            ("net.core.somaxconn", json!([]), true, false),
            ("kernel.msgmax", json!([]), true, true),
            ("kernel.msgmax", json!([{"type": "network"}]), false, false),
            ("vm.swappiness", json!([{"type": "network"}]), true, false),
        ];
        for (name, namespaces, shm, expected) in table {
            let value = json!({
                "root": {"path": "rootfs"},
                "process": {"args": ["sh"], "cwd": "/"},
                "linux": {"namespaces": namespaces, "sysctl": {name: "1"}}
            });
            let spec: Spec = serde_json::from_value(value).unwrap();
            let planned = plan(&spec, &Request { bundle: "/b".into(), shm, ..Request::default() });
            assert_eq!(planned.is_ok(), expected, "{name} {namespaces} {shm}");
            assert!(planned.map_or_else(|e| e.object == name, |_| true));
        }
    }

    #[test]
    fn only_own_namespaces_are_written() {
        let table = [
            ("net.core.somaxconn", true, false, true),
            ("net.core.somaxconn", false, true, false),
            ("kernel.shmmax", false, true, true),
            ("kernel.msgmax", true, false, false),
            ("kernel.sem", false, true, true),
            ("fs.mqueue.msg_max", false, true, true),
            ("kernel.core_pattern", true, true, false),
            ("kernel.semantics", true, true, false),
            ("vm.overcommit_memory", true, true, false),
        ];
        for (name, net, ipc, expected) in table {
            assert_eq!(check(name, net, ipc).is_ok(), expected, "{name} {net} {ipc}");
        }
    }
}
