//! Ids inside a user namespace and the ids of the host that they are. PURE.

use crate::error::{StepError, StepResult};
use crate::spec::{IdMapping, Mount, Process, Spec};

/// A range of ids: `inside`, `inside + 1`, ... are `outside`, `outside + 1`, ... of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdRange {
    /// First id in the namespace.
    pub inside: u32,
    /// First id of the host.
    pub outside: u32,
    /// How many ids.
    pub count: u32,
}

impl IdRange {
    /// The host's id for one in the namespace; none when it is not mapped.
    pub fn outside_of(&self, id: u32) -> Option<u32> {
        let at = id.checked_sub(self.inside).filter(|at| *at < self.count)?;
        Some(self.outside + at)
    }

    /// The line of /proc/PID/uid_map and gid_map.
    pub fn line(&self) -> String {
        format!("{} {} {}\n", self.inside, self.outside, self.count)
    }

    /// `id`, or the last one that is mapped when it is not.
    pub fn nearest(&self, id: u32) -> u32 {
        if self.outside_of(id).is_some() { id } else { self.inside + (self.count - 1) }
    }

    fn check(&self, kind: &str) -> StepResult<()> {
        let refuse = |why| Err(StepError::invalid("map ids", kind, why));
        // 2^32 - 1 is no id
        let fits = |first: u32| first.checked_add(self.count).is_some();
        if self.count == 0 || !fits(self.inside) || !fits(self.outside) {
            return refuse("the range is empty or ends above the largest id");
        }
        if self.inside != 0 {
            return refuse("id 0 is not mapped");
        }
        Ok(())
    }
}

/// The ids of a pod's user namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// User ids.
    pub uids: IdRange,
    /// Group ids.
    pub gids: IdRange,
}

impl IdMaps {
    /// Whether a user namespace can be made of them that has a root.
    ///
    /// # Errors
    /// An empty or too long range, one without id 0.
    pub fn check(&self) -> StepResult<()> {
        self.uids.check("uids")?;
        self.gids.check("gids")
    }

    /// Checks what a spec says of the same maps.
    ///
    /// # Errors
    /// It says something else.
    pub(crate) fn check_same(&self, object: &str, uids: &[IdMapping], gids: &[IdMapping]) -> StepResult<()> {
        let same = |list: &[IdMapping], range: &IdRange| {
            let [one] = list else { return false };
            (one.container_id, one.host_id, one.size) == (range.inside, range.outside, range.count)
        };
        if same(uids, &self.uids) && same(gids, &self.gids) {
            return Ok(());
        }
        Err(StepError::invalid("read", object, "they are not those of the pod's user namespace"))
    }

    /// Checks that a process's user and groups are mapped.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn check_user(&self, process: Option<&Process>) -> StepResult<()> {
        let Some(user) = process.map(|p| &p.user) else { return Ok(()) };
        let groups = std::iter::once(&user.gid).chain(&user.additional_gids).map(|gid| ("gid", gid, &self.gids));
        for (kind, id, range) in std::iter::once(("uid", &user.uid, &self.uids)).chain(groups) {
            if range.outside_of(*id).is_none() {
                let object = format!("process.user {kind} {id}");
                return Err(StepError::invalid("read", &object, "it is not mapped in the pod's user namespace"));
            }
        }
        Ok(())
    }
}

/// Checks what a spec says of the user namespace, which is the pod's: it repeats its ids, or has none where the pod has
/// none.
///
/// # Errors
/// It says otherwise.
pub(crate) fn check_spec(ids: Option<&IdMaps>, spec: &Spec) -> StepResult<()> {
    let linux = &spec.linux;
    let named = linux.namespaces.iter().any(|n| n.kind == "user");
    match ids {
        Some(ids) if named => {
            ids.check_same("linux.uidMappings", &linux.uid_mappings, &linux.gid_mappings)?;
            ids.check_user(spec.process.as_ref())
        }
        Some(_) => Err(StepError::invalid("read", "linux.namespaces", "the pod's user namespace is missing")),
        None if named || !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty() => {
            Err(StepError::invalid("read", "linux.uidMappings", "the pod has no user namespace"))
        }
        None => Ok(()),
    }
}

/// Checks the ids of a mount: the pod's, or none; `of_files`: it shows files that are somewhere else already.
///
/// # Errors
/// Others; a new file system, which has the ids of who mounts it.
pub(crate) fn check_mount(ids: Option<&IdMaps>, mount: &Mount, of_files: bool) -> StepResult<()> {
    if mount.uid_mappings.is_empty() && mount.gid_mappings.is_empty() {
        return Ok(());
    }
    let refuse = |why| Err(StepError::invalid("mount", &mount.destination, why));
    match ids {
        None => refuse("the pod has no user namespace to map ids by"),
        Some(_) if !of_files => refuse("a new file system is not idmapped"),
        Some(ids) => ids.check_same(&mount.destination, &mount.uid_mappings, &mount.gid_mappings),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RANGE: IdRange = IdRange { inside: 0, outside: 1000, count: 10 };

    #[test]
    fn ids_are_looked_up() {
        let table = [(0, Some(1000)), (9, Some(1009)), (10, None), (u32::MAX, None)];
        for (id, expected) in table {
            assert_eq!(RANGE.outside_of(id), expected, "{id}");
        }
        assert_eq!((RANGE.nearest(3), RANGE.nearest(65534)), (3, 9));
        assert_eq!(RANGE.line(), "0 1000 10\n");
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() {
        let table = [
            (RANGE, true),
            (IdRange { count: 0, ..RANGE }, false),
            (IdRange { inside: 1, ..RANGE }, false),
            (IdRange { count: u32::MAX - 1000, ..RANGE }, true),
            (IdRange { count: u32::MAX - 999, ..RANGE }, false),
        ];
        for (range, expected) in table {
            assert_eq!(IdMaps { uids: range, gids: RANGE }.check().is_ok(), expected, "{range:?}");
            assert_eq!(IdMaps { uids: RANGE, gids: range }.check().is_ok(), expected, "{range:?}");
        }
    }

    #[test]
    fn a_container_of_such_a_pod_takes_what_is_the_hosts_first() {
        use crate::request::{Overlay, PidMode, Request};
        use serde_json::json;
        let ids = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
        let value = json!({
            "process": {"args": ["sh"], "cwd": "/"},
            "mounts": [
                {"destination": "/v", "type": "bind", "source": "/x", "uidMappings": ids, "gidMappings": ids},
                {"destination": "/sys/fs/cgroup", "type": "cgroup"}
            ],
            "linux": {
                "namespaces": [{"type": "cgroup"}, {"type": "user"}, {"type": "network"}], "uidMappings": ids, "gidMappings": ids,
                "sysctl": {"net.core.somaxconn": "1"}
            }
        });
        let spec: Spec = serde_json::from_value(value).unwrap();
        let overlay = Some(Overlay { lower: vec!["/l".into()], ..Overlay::default() });
        let maps = IdMaps { uids: RANGE, gids: RANGE };
        let request = Request { bundle: "/b".into(), overlay, ids: Some(maps), ..Request::default() };
        let plan = crate::steps::plan(&spec, &request).unwrap();
        let name = |step| format!("{step:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
        let names: Vec<String> = plan.steps.iter().map(name).collect();
        let expected =
            ["TakeSource", "GiveCgroup", "MapRoot", "EnterUsers", "Sysctl", "Isolate", "Root", "Mount", "Mount"];
        assert_eq!(names[..expected.len()], expected);
        assert_eq!(plan.steps[3], crate::steps::Step::EnterUsers { own_pids: true });
        let shared = Request { pid: PidMode::Shared, ..request.clone() };
        assert!(
            crate::steps::plan(&spec, &shared)
                .unwrap()
                .steps
                .contains(&crate::steps::Step::EnterUsers { own_pids: false })
        );
        let plain = Request { ids: None, ..request };
        assert_eq!(crate::steps::plan(&spec, &plain).unwrap_err().object, "linux.uidMappings");
    }
}
