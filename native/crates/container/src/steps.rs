//! From a spec to the ordered steps that make the container. Decides everything that can be
//! decided without looking at the host. PURE.

use crate::error::{StepError, StepResult};
use crate::hooks;
use crate::ids;
use crate::image_volume::{self, ImageStep};
use crate::mounts::refuse_below_proc;
use crate::options::MountOptions;
use crate::process::{ProcessPlan, process_plan};
use crate::request::{Overlay, PidMode, Request};
use crate::rules;
use crate::selinux;
use crate::spec::{DEVICES_ANNOTATION, Device, Hook, Linux, Mount, RequestedDevice, Spec};
use podwright_cgroups::devices::DeviceRule;
use podwright_sys::mount_attr;

/// One step of the init child, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes the log's directory, opens the log, hands it to the monitor.
    OpenLog(String),
    /// Finds device nodes under host paths.
    FindDevices(Vec<RequestedDevice>),
    /// Sets what devices may be used; what was found is added.
    DeviceRules(Vec<DeviceRule>),
    /// Takes a bind mount's source out of the host's mount namespace.
    TakeSource(SourceStep),
    /// With a user namespace and a cgroup filesystem that is not read-only: gives the container's v2 cgroup to this user
    /// of the namespace (cgroups(7), delegation).
    GiveCgroup(u32),
    /// With a user namespace: makes the root filesystem, its files shown by the namespace's ids.
    MapRoot(RootStep),
    /// Enters the pod's user namespace; what follows is done by its root, and in the container's own pid namespace if
    /// it has one.
    EnterUsers {
        /// Whether the pid namespace is the container's own.
        own_pids: bool,
    },
    /// Writes a kernel parameter of the sandbox's namespaces.
    Sysctl(String, String),
    /// Leaves the host's mount namespace, and roots the cgroup namespace if asked to.
    Isolate {
        /// Whether the cgroup namespace is the container's own.
        cgroup_namespace: bool,
    },
    /// Stacks an image's layers for a mount to come.
    StackImage(ImageStep),
    /// Mounts the root filesystem.
    Root(RootStep),
    /// Mounts one thing into it.
    Mount(MountStep),
    /// Makes device nodes, those found included.
    MakeDevices(Vec<Device>),
    /// Makes the symbolic links of /dev.
    DeviceLinks,
    /// Opens the terminal.
    Terminal {
        /// Who owns it.
        uid: u32,
        /// Rows and columns before the first resize.
        size: Option<(u16, u16)>,
    },
    /// Waits for the hooks that the monitor runs in the runtime's namespaces.
    RuntimeHooks,
    /// Runs hooks in the container's namespaces.
    ContainerHooks(Vec<Hook>),
    /// Makes the root filesystem the root and lets go of the host's.
    PivotRoot,
    /// Makes a path unreadable.
    Mask(String),
    /// Makes a path read-only.
    ReadonlyPath(String),
    /// Makes the root read-only.
    ReadonlyRoot,
}

/// A bind mount's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStep {
    /// Its number, for [`MountSource::Taken`].
    pub index: usize,
    /// Host path.
    pub path: String,
    /// With what is mounted below.
    pub recursive: bool,
    /// What the propagation asks of the source's mount.
    pub needs: SourceNeeds,
    /// Its files are shown by the ids of the pod's user namespace.
    pub mapped: bool,
    /// Its files are given the container's SELinux context.
    pub relabel: bool,
}

/// What the mount that a source lies on must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceNeeds {
    /// Anything.
    Nothing,
    /// Shared or slave, to receive.
    Receiving,
    /// Shared, to receive and send.
    Sharing,
}

/// How the root comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootStep {
    /// An overlay mounted at `at`.
    Overlay {
        /// Layers.
        overlay: Overlay,
        /// A directory to mount on.
        at: String,
    },
    /// A directory that is complete already.
    Directory(String),
    /// What [`Step::MapRoot`] has made.
    Mapped,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// The source taken, or the image stacked, by the step of this number.
    Taken(usize),
    /// A new filesystem.
    New {
        /// Its type.
        kind: String,
        /// Its source, for show.
        source: String,
        /// SELinux context that its root is given, where a mount option could not; empty: none.
        label: String,
    },
    /// The pod's /dev/shm.
    Shm,
    /// The /proc of the pod's pid namespace.
    PodProc,
    /// The cgroup filesystem(s) as the host has them.
    Cgroups,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountStep {
    /// What.
    pub source: MountSource,
    /// Where, in the container.
    pub target: String,
    /// How.
    pub options: MountOptions,
}

/// Everything to do for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
    /// And then the process.
    pub process: ProcessPlan,
    /// Before its program these, as its user.
    pub start_hooks: Vec<Hook>,
}

/// The plan of a container.
///
/// # Errors
/// What the spec contradicts itself in, or asks for and this runtime does not do.
pub fn plan(spec: &Spec, request: &Request) -> StepResult<Plan> {
    crate::refusals::check(spec)?;
    ids::check_spec(request.ids.as_ref(), spec)?;
    crate::sysctl::check_spec(&spec.linux, request.shm)?;
    let process = spec.process.as_ref().ok_or_else(|| StepError::invalid("read", "process", "it is missing"))?;
    if process.terminal != request.terminal {
        return Err(StepError::invalid("read", "process.terminal", "it differs from the request's"));
    }
    let mut steps = Vec::new();
    if !request.log_path.is_empty() {
        steps.push(Step::OpenLog(request.log_path.clone()));
    }
    let requested = requested_devices(spec)?;
    if !requested.is_empty() {
        steps.push(Step::FindDevices(requested));
    }
    let rules = rules::rules(spec)?;
    if !rules.is_empty() {
        steps.push(Step::DeviceRules(rules));
    }
    let (mounts, images) = mount_steps(spec, request, &mut steps)?;
    let mut images: Vec<Step> = images.into_iter().map(Step::StackImage).collect();
    let mut root = root_step(spec, request)?;
    if request.ids.is_some() {
        if has_namespace(&spec.linux, "cgroup") && mounts.iter().any(is_writable_cgroup) {
            steps.push(Step::GiveCgroup(process.user.uid));
        }
        steps.append(&mut images);
        steps.push(Step::MapRoot(std::mem::replace(&mut root, RootStep::Mapped)));
        steps.push(Step::EnterUsers { own_pids: request.pid == PidMode::Own });
    }
    for (name, value) in &spec.linux.sysctl {
        steps.push(Step::Sysctl(name.clone(), value.clone()));
    }
    steps.push(Step::Isolate { cgroup_namespace: has_namespace(&spec.linux, "cgroup") });
    steps.append(&mut images);
    steps.push(Step::Root(root));
    steps.extend(mounts.into_iter().map(Step::Mount));
    let dev_is_bound = spec.mounts.iter().any(|m| clean(&m.destination) == "/dev" && is_bind(m));
    if !dev_is_bound {
        steps.push(Step::MakeDevices(rules::nodes(&spec.linux)));
        steps.push(Step::DeviceLinks);
    }
    if process.terminal {
        let size = process.console_size.map(|s| (s.height, s.width));
        steps.push(Step::Terminal { uid: process.user.uid, size });
    }
    steps.extend(hooks::steps(spec));
    steps.push(Step::PivotRoot);
    steps.extend(spec.linux.readonly_paths.iter().cloned().map(Step::ReadonlyPath));
    steps.extend(spec.linux.masked_paths.iter().cloned().map(Step::Mask));
    if spec.root.readonly {
        steps.push(Step::ReadonlyRoot);
    }
    let start_hooks = spec.hooks.as_ref().map(|h| h.start_container.clone()).unwrap_or_default();
    Ok(Plan { steps, process: process_plan(process, &request.filter)?, start_hooks })
}

fn is_writable_cgroup(step: &MountStep) -> bool {
    step.source == MountSource::Cgroups && step.options.set & mount_attr::RDONLY == 0
}

fn has_namespace(linux: &Linux, kind: &str) -> bool {
    linux.namespaces.iter().any(|n| n.kind == kind && n.path.is_empty())
}

fn requested_devices(spec: &Spec) -> StepResult<Vec<RequestedDevice>> {
    let Some(text) = spec.annotations.get(DEVICES_ANNOTATION) else { return Ok(Vec::new()) };
    let list: Vec<RequestedDevice> = serde_json::from_str(text)
        .map_err(|e| StepError::invalid("read annotation", DEVICES_ANNOTATION, &e.to_string()))?;
    for device in &list {
        absolute("device", &device.host_path)?;
        absolute("device", &device.container_path)?;
        rules::access(&device.permissions)?;
    }
    Ok(list)
}

fn root_step(spec: &Spec, request: &Request) -> StepResult<RootStep> {
    if let Some(overlay) = &request.overlay {
        if overlay.lower.is_empty() {
            return Err(StepError::invalid("read", "overlay", "it has no lower directory"));
        }
        // Any directory does to mount on, in a namespace of its own: the bundle is one. Hooks look where the spec says.
        let at = if hooks::need_root(spec) { root_path(spec, request)? } else { request.bundle.clone() };
        let overlay = Overlay { label: spec.linux.mount_label.clone(), ..overlay.clone() };
        return Ok(RootStep::Overlay { overlay, at });
    }
    root_path(spec, request).map(RootStep::Directory)
}

fn root_path(spec: &Spec, request: &Request) -> StepResult<String> {
    let path = &spec.root.path;
    if path.is_empty() {
        return Err(StepError::invalid("read", "root.path", "it is missing"));
    }
    Ok(if path.starts_with('/') { path.clone() } else { format!("{}/{path}", request.bundle) })
}

fn absolute(what: &str, path: &str) -> StepResult<()> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(StepError::invalid("read", what, &format!("path {path:?} is not absolute")))
}

/// A path without empty parts, `.` and `..`, as it is inside a root.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn is_bind(mount: &Mount) -> bool {
    mount.kind == "bind" || mount.options.iter().any(|o| o == "bind" || o == "rbind")
}

/// The mounts, the images among them, and before them the steps that take sources of the host.
fn mount_steps(spec: &Spec, request: &Request, steps: &mut Vec<Step>) -> StepResult<(Vec<MountStep>, Vec<ImageStep>)> {
    let mut mounts = Vec::new();
    let mut images = Vec::new();
    let label = &spec.linux.mount_label;
    for mount in &spec.mounts {
        let target = clean(&mount.destination);
        if target == "/" {
            return Err(StepError::invalid("mount", &mount.destination, "the root cannot be mounted over"));
        }
        refuse_below_proc(mount, &target)?;
        let mut options = MountOptions::parse(&mount.options);
        ids::check_mount(request.ids.as_ref(), mount, is_bind(mount) || mount.kind == image_volume::TYPE)?;
        let source = if is_bind(mount) {
            steps.push(Step::TakeSource(source_step(mount, &mut options, mounts.len(), request)?));
            MountSource::Taken(mounts.len())
        } else if mount.kind == image_volume::TYPE {
            let image = image_volume::plan(mount, &mut options, mounts.len(), &request.bundle)?;
            images.push(ImageStep { label: label.clone(), ..image });
            MountSource::Taken(mounts.len())
        } else {
            options.data.extend(selinux::mount_option(mount, label));
            new_filesystem(mount, request, label)?
        };
        mounts.push(MountStep { source, target, options });
    }
    Ok((mounts, images))
}

fn source_step(mount: &Mount, options: &mut MountOptions, index: usize, request: &Request) -> StepResult<SourceStep> {
    if let Some(unknown) = options.data.first() {
        return Err(StepError::invalid("mount", &mount.destination, &format!("unknown option {unknown:?}")));
    }
    // "rw" is what a bind mount is unless told otherwise; it does not lift what the source has.
    options.clear &= !mount_attr::RDONLY;
    if options.propagation == 0 {
        (options.propagation, options.propagation_recursive) = (mount_attr::PRIVATE, true);
    }
    let needs = match options.propagation {
        mount_attr::SLAVE => SourceNeeds::Receiving,
        mount_attr::SHARED => SourceNeeds::Sharing,
        _ => SourceNeeds::Nothing,
    };
    let recursive = options.bind_recursive || !options.bind;
    let path = if mount.source.starts_with('/') {
        mount.source.clone()
    } else {
        format!("{}/{}", request.bundle, mount.source)
    };
    let relabel = request.relabel.as_ref().is_some_and(|r| r.holds(&path));
    Ok(SourceStep { index, path, recursive, needs, mapped: !mount.uid_mappings.is_empty(), relabel })
}

fn new_filesystem(mount: &Mount, request: &Request, label: &str) -> StepResult<MountSource> {
    Ok(match mount.kind.as_str() {
        "" => return Err(StepError::invalid("mount", &mount.destination, "it has no type")),
        "podwright-shm" if request.shm => MountSource::Shm,
        "podwright-shm" => {
            return Err(StepError::invalid("mount", &mount.destination, "the pod has no /dev/shm of its own"));
        }
        "proc" if request.pid == PidMode::Shared => MountSource::PodProc,
        "cgroup" => MountSource::Cgroups,
        kind => {
            let label = if kind == "mqueue" { label.into() } else { String::new() };
            MountSource::New { kind: kind.into(), source: mount.source.clone(), label }
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(change: impl FnOnce(&mut Value)) -> Spec {
        let mut value = json!({
            "root": {"path": "rootfs"},
            "process": {"args": ["sh"], "cwd": "/"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [{"type": "cgroup"}]}
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    fn request() -> Request {
        Request { bundle: "/b".into(), shm: true, ..Request::default() }
    }

    /// The steps' names in order.
    fn names(plan: &Plan) -> Vec<String> {
        let name = |s: &Step| format!("{s:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
        plan.steps.iter().map(name).collect()
    }

    #[test]
    fn the_smallest_container() {
        let plan = plan(&spec(|_| {}), &request()).unwrap();
        assert_eq!(names(&plan), ["Isolate", "Root", "Mount", "MakeDevices", "DeviceLinks", "PivotRoot"]);
        assert_eq!(plan.steps[0], Step::Isolate { cgroup_namespace: true });
        assert_eq!(plan.steps[1], Step::Root(RootStep::Directory("/b/rootfs".into())));
    }

    #[test]
    fn everything_at_once_in_its_order() {
        let spec = spec(|v| {
            v["annotations"] = json!({"podwright.devices": r#"[{"hostPath":"/dev/fuse","containerPath":"/dev/fuse","permissions":"rw"}]"#});
            v["mounts"].as_array_mut().unwrap().push(json!(
                {"destination": "/data", "type": "bind", "source": "/host", "options": ["rbind", "rshared", "rw"]}
            ));
            v["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
            v["linux"]["sysctl"] = json!({"net.core.somaxconn": "1"});
            v["linux"]["namespaces"] = json!([{"type": "network"}]);
            v["linux"]["maskedPaths"] = json!(["/m"]);
            v["linux"]["readonlyPaths"] = json!(["/r"]);
            v["root"]["readonly"] = json!(true);
            v["process"]["terminal"] = json!(true);
        });
        let overlay = Overlay { lower: vec!["/l".into()], ..Overlay::default() };
        let request = Request { log_path: "/log".into(), terminal: true, overlay: Some(overlay.clone()), ..request() };
        let plan = plan(&spec, &request).unwrap();
        let expected = [
            "OpenLog",
            "FindDevices",
            "DeviceRules",
            "TakeSource",
            "Sysctl",
            "Isolate",
            "Root",
            "Mount",
            "Mount",
            "MakeDevices",
            "DeviceLinks",
            "Terminal",
            "PivotRoot",
            "ReadonlyPath",
            "Mask",
            "ReadonlyRoot",
        ];
        assert_eq!(names(&plan), expected);
        let needs = SourceNeeds::Sharing;
        let source =
            SourceStep { index: 1, path: "/host".into(), recursive: true, needs, mapped: false, relabel: false };
        assert_eq!(plan.steps[3], Step::TakeSource(source));
        assert_eq!(plan.steps[6], Step::Root(RootStep::Overlay { overlay, at: "/b".into() }));
    }

    #[test]
    fn mounts_come_from_where_they_should() {
        let table = [
            (json!({"destination": "/dev/shm", "type": "podwright-shm"}), PidMode::Own, MountSource::Shm),
            (json!({"destination": "/proc", "type": "proc"}), PidMode::Shared, MountSource::PodProc),
            (json!({"destination": "/sys/fs/cgroup", "type": "cgroup"}), PidMode::Own, MountSource::Cgroups),
            (json!({"destination": "/b", "type": "bind", "source": "x"}), PidMode::Own, MountSource::Taken(0)),
            (
                json!({"destination": "/t", "type": "tmpfs", "source": "t"}),
                PidMode::Own,
                MountSource::New { kind: "tmpfs".into(), source: "t".into(), label: String::new() },
            ),
        ];
        for (mount, pid, expected) in table {
            let spec = spec(|v| v["mounts"] = json!([mount]));
            let plan = plan(&spec, &Request { pid, ..request() }).unwrap();
            assert!(plan.steps.iter().any(|s| matches!(s, Step::Mount(m) if m.source == expected)), "{expected:?}");
        }
    }

    #[test]
    fn contradictions_name_their_object() {
        type Change = fn(&mut Value);
        let table: [(&str, Change); 9] = [
            ("process", |v| v["process"] = Value::Null),
            ("process.terminal", |v| v["process"]["terminal"] = json!(true)),
            ("root.path", |v| v["root"] = json!({})),
            ("/proc/sys", |v| v["mounts"] = json!([{"destination": "/proc/sys", "type": "bind", "source": "/x"}])),
            ("/..", |v| v["mounts"] = json!([{"destination": "/..", "type": "tmpfs"}])),
            ("/t", |v| v["mounts"] = json!([{"destination": "/t", "type": "bind", "source": "/x", "options": ["x"]}])),
            ("podwright.devices", |v| v["annotations"] = json!({"podwright.devices": "{}"})),
            ("linux.uidMappings", |v| v["linux"]["namespaces"] = json!([{"type": "user"}])),
            ("/x", |v| v["mounts"] = json!([{"destination": "/x", "type": "tmpfs", "uidMappings": [{"size": 1}]}])),
        ];
        for (object, change) in table {
            assert_eq!(plan(&spec(change), &request()).unwrap_err().object, object);
        }
    }

    #[test]
    fn a_device_of_the_spec_replaces_a_standard_one() {
        let spec =
            spec(|v| v["linux"]["devices"] = json!([{"path": "/dev//null", "type": "c", "major": 9, "minor": 9}]));
        let plan = plan(&spec, &request()).unwrap();
        let Some(Step::MakeDevices(list)) = plan.steps.iter().find(|s| matches!(s, Step::MakeDevices(_))) else {
            unreachable!()
        };
        let nulls: Vec<u32> = list.iter().filter(|d| clean(&d.path) == "/dev/null").map(|d| d.major).collect();
        assert_eq!((nulls, list.len()), (vec![9], 6));
    }

    #[test]
    fn paths_are_cleaned_as_inside_a_root() {
        let table = [("/a//b/./c/", "/a/b/c"), ("/../../a", "/a"), ("a/..", "/"), ("", "/"), ("/a/../../b", "/b")];
        for (path, expected) in table {
            assert_eq!(clean(path), expected, "{path}");
        }
    }
}
