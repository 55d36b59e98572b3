//! The process of a container or an exec: what it will be, as values. PURE.

use crate::credentials::{self, Capabilities, Identity};
use crate::error::{StepError, StepResult};
use crate::refusals;
use crate::request::Filter;
use crate::spec::{CapabilityLists, Process};
use rustix::process::Resource;

/// Where programs are looked for when the environment names no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process, ready to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessPlan {
    /// Program and arguments, at least one.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Absolute working directory.
    pub cwd: String,
    /// Who it runs as.
    pub identity: Identity,
    /// File mode creation mask.
    pub umask: u32,
    /// Its capability sets.
    pub capabilities: Capabilities,
    /// Its limits: soft and hard, the largest number for none.
    pub rlimits: Vec<(Resource, u64, u64)>,
    /// Its score for the OOM killer; none: what the container has.
    pub oom_score_adj: Option<i32>,
    /// No program gives it more than it has.
    pub no_new_privileges: bool,
    /// Its seccomp filter.
    pub filter: Filter,
    /// The AppArmor profile its program runs under; empty: none is asked for.
    pub apparmor: String,
    /// The SELinux context its program runs in; empty: none is asked for.
    pub selinux: String,
}

/// Reads the spec's process.
///
/// # Errors
/// What is missing, unknown, or not supported.
pub fn process_plan(process: &Process, filter: &Filter) -> StepResult<ProcessPlan> {
    refusals::check_process(process)?;
    if process.args.first().is_none_or(String::is_empty) {
        return Err(StepError::invalid("read", "process.args", "no command specified"));
    }
    let cwd = if process.cwd.is_empty() { "/" } else { &process.cwd };
    if !cwd.starts_with('/') {
        return Err(StepError::invalid("read", "process.cwd", &format!("path {cwd:?} is not absolute")));
    }
    let user = &process.user;
    Ok(ProcessPlan {
        args: process.args.clone(),
        env: once(&process.env),
        cwd: cwd.into(),
        identity: Identity { uid: user.uid, gid: user.gid, groups: user.additional_gids.clone() },
        umask: user.umask.unwrap_or(0o022),
        capabilities: capabilities(process.capabilities.as_ref())?,
        rlimits: rlimits(process)?,
        oom_score_adj: process.oom_score_adj,
        no_new_privileges: process.no_new_privileges,
        filter: filter.clone(),
        apparmor: process.apparmor_profile.clone(),
        selinux: process.selinux_label.clone(),
    })
}

/// The program of a process object given as JSON, for messages: cut at 100 characters, empty when there is none. PURE.
pub fn program_name(process: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(process).unwrap_or_default();
    let name = value.pointer("/args/0").and_then(serde_json::Value::as_str).unwrap_or_default();
    name.chars().take(100).collect()
}

/// An environment with each name once: the last value, at the place of the first. Programs look at the first one,
/// and who adds a variable means to change it.
fn once(env: &[String]) -> Vec<String> {
    let name = |entry: &str| entry.split_once('=').map_or(entry.len(), |(name, _)| name.len());
    let mut list: Vec<String> = Vec::with_capacity(env.len());
    for entry in env {
        let length = name(entry);
        match list.iter_mut().find(|e| name(e) == length && e.get(..length) == entry.get(..length)) {
            Some(earlier) => earlier.clone_from(entry),
            None => list.push(entry.clone()),
        }
    }
    list
}

fn capabilities(lists: Option<&CapabilityLists>) -> StepResult<Capabilities> {
    let Some(lists) = lists else { return Ok(Capabilities::default()) };
    Ok(Capabilities {
        bounding: credentials::bits(&lists.bounding)?,
        effective: credentials::bits(&lists.effective)?,
        permitted: credentials::bits(&lists.permitted)?,
        inheritable: credentials::bits(&lists.inheritable)?,
        ambient: credentials::bits(&lists.ambient)?,
    })
}

fn rlimits(process: &Process) -> StepResult<Vec<(Resource, u64, u64)>> {
    let one = |limit: &crate::spec::Rlimit| {
        let resource = resource(&limit.kind)
            .ok_or_else(|| StepError::invalid("read", &limit.kind, "there is no such resource limit"))?;
        if limit.soft > limit.hard {
            return Err(StepError::invalid("read", &limit.kind, "its soft limit is above its hard limit"));
        }
        Ok((resource, limit.soft, limit.hard))
    };
    process.rlimits.iter().map(one).collect()
}

/// The limit of a name such as `RLIMIT_NOFILE`.
pub fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "RLIMIT_AS" => Resource::As,
        "RLIMIT_CORE" => Resource::Core,
        "RLIMIT_CPU" => Resource::Cpu,
        "RLIMIT_DATA" => Resource::Data,
        "RLIMIT_FSIZE" => Resource::Fsize,
        "RLIMIT_LOCKS" => Resource::Locks,
        "RLIMIT_MEMLOCK" => Resource::Memlock,
        "RLIMIT_MSGQUEUE" => Resource::Msgqueue,
        "RLIMIT_NICE" => Resource::Nice,
        "RLIMIT_NOFILE" => Resource::Nofile,
        "RLIMIT_NPROC" => Resource::Nproc,
        "RLIMIT_RSS" => Resource::Rss,
        "RLIMIT_RTPRIO" => Resource::Rtprio,
        "RLIMIT_RTTIME" => Resource::Rttime,
        "RLIMIT_SIGPENDING" => Resource::Sigpending,
        "RLIMIT_STACK" => Resource::Stack,
        _ => return None,
    })
}

/// The paths to try for a program, as execvp(3) does: itself when it has a slash, otherwise one
/// per directory of PATH.
pub fn candidates(name: &str, env: &[String]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let path = env.iter().rev().find_map(|e| e.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    // an empty part would be the working directory; a program is not taken from there by accident
    path.split(':').filter(|dir| !dir.is_empty()).map(|dir| format!("{dir}/{name}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_the_environment_once() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(once(&list("A=1 B=2 A=3 AB=4 C")), list("A=3 B=2 AB=4 C"));
    }

    #[test]
    fn programs_are_looked_for_in_the_containers_path() {
        let env = |text: &str| vec![text.to_owned()];
        assert_eq!(candidates("/bin/sh", &env("PATH=/a")), ["/bin/sh"]);
        assert_eq!(candidates("./x", &env("PATH=/a")), ["./x"]);
        assert_eq!(candidates("sh", &env("PATH=/a::/b")), ["/a/sh", "/b/sh"]);
        assert_eq!(candidates("sh", &[]).len(), 6);
    }

    #[test]
    fn wrong_processes_are_refused_by_name() {
        let good = Process { args: vec!["a".into()], ..Process::default() };
        assert_eq!(process_plan(&good, &Filter::default()).unwrap().cwd, "/");
        type Change = fn(&mut Process);
        let table: [(&str, Change); 4] = [
            ("process.args", |p| p.args.clear()),
            ("process.cwd", |p| p.cwd = "x".into()),
            ("process.scheduler", |p| p.scheduler = Some(serde_json::Value::Null)),
            ("RLIMIT_X", |p| p.rlimits = vec![crate::spec::Rlimit { kind: "RLIMIT_X".into(), ..Default::default() }]),
        ];
        for (name, change) in table {
            let mut process = good.clone();
            change(&mut process);
            assert_eq!(process_plan(&process, &Filter::default()).unwrap_err().object, name);
        }
    }
}
