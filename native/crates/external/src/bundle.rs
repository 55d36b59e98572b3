//! Completes a bundle's config.json with what only the host can tell, so that any runtime takes it as it is: device
//! nodes behind host paths, limits and capabilities within what this host gives.

use crate::namespace;
use podwright_container::credentials;
use podwright_container::devices;
use podwright_container::error::{StepError, StepResult, io_failed};
use podwright_container::image_volume;
use podwright_container::limits;
use podwright_container::mounts;
use podwright_container::options::MountOptions;
use podwright_container::place;
use podwright_container::process;
use podwright_container::report::FoundDevice;
use podwright_container::selinux;
use podwright_container::sources;
use podwright_container::spec::{DEVICES_ANNOTATION, Device, Mount, RequestedDevice};
use podwright_container::steps::{SourceNeeds, SourceStep};
use podwright_sys::mount_attr;
use rustix::process::Resource;
use serde_json::{Value, json};
use std::os::fd::AsFd;

/// CAP_SYS_RESOURCE by its number.
const SYS_RESOURCE: u64 = 1 << 24;

/// What was found and what was left out.
#[derive(Debug, Default)]
pub(crate) struct Completed {
    /// For people: what was clamped, and why.
    pub(crate) notes: Vec<String>,
    /// Devices behind the requested host paths.
    pub(crate) devices: Vec<FoundDevice>,
    /// Supplementary groups of the process.
    pub(crate) groups: Vec<u32>,
    /// Rows and columns of a terminal before its first resize.
    pub(crate) console: Option<(u16, u16)>,
}

/// A bundle's config.json on its way to being complete.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Absolute path of its directory.
    directory: String,
    spec: Value,
}

impl Bundle {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(directory: &str) -> StepResult<Self> {
        let file = format!("{directory}/{FILE}");
        let text = std::fs::read(&file).map_err(io_failed("read", "read", &file))?;
        let spec = serde_json::from_slice(&text).map_err(|e| StepError::invalid("read", &file, &e.to_string()))?;
        Ok(Self { directory: directory.into(), spec })
    }

    /// Fills in devices, and fits the process to the host.
    ///
    /// # Errors
    /// A device is not there; a name that is none.
    pub(crate) fn complete(&mut self) -> StepResult<Completed> {
        let mut completed = Completed::default();
        selinux::check("linux.mountLabel", self.mount_label())?;
        add_devices(&mut self.spec, &mut completed)?;
        if let Some(process) = self.spec.get_mut("process") {
            completed.notes.extend(fit_process(process)?);
            completed.groups = numbers(process.pointer("/user/additionalGids"));
            completed.console = console_size(process);
        }
        Ok(completed)
    }

    /// The SELinux context of what is mounted for it; empty for none.
    pub(crate) fn mount_label(&self) -> &str {
        self.spec.pointer("/linux/mountLabel").and_then(Value::as_str).unwrap_or_default()
    }

    /// Mounts image volumes below the bundle, and makes their mounts binds of those. To be called in the runtime's
    /// mount namespace, before the root is mounted.
    ///
    /// # Errors
    /// As [`image_volume::stack`].
    pub(crate) fn mount_images(&mut self) -> StepResult<()> {
        let label = self.mount_label().to_owned();
        let mounts = self.spec.get_mut("mounts").and_then(Value::as_array_mut);
        for (index, mount) in mounts.into_iter().flatten().enumerate() {
            if mount.get("type").and_then(Value::as_str) == Some(image_volume::TYPE) {
                mount_image(mount, index, &self.directory, &label)?;
            }
        }
        Ok(())
    }

    /// Looks that every source of a bind mount is there and propagates as asked. To be called in the runtime's
    /// mount namespace.
    ///
    /// # Errors
    /// As [`sources::open`].
    pub(crate) fn check_sources(&self) -> StepResult<()> {
        let mounts = self.spec.get("mounts").and_then(Value::as_array).into_iter().flatten();
        mounts.enumerate().try_for_each(|(index, mount)| check_source(mount, index, &self.directory))
    }

    /// Puts it back.
    ///
    /// # Errors
    /// The failing call.
    pub(crate) fn write(&self) -> StepResult<()> {
        let (file, new) = (format!("{}/{FILE}", self.directory), format!("{}/{FILE}.new", self.directory));
        let text = serde_json::to_vec(&self.spec).map_err(|e| StepError::invalid("write", &file, &e.to_string()))?;
        write_private(&new, &text)?;
        std::fs::rename(&new, &file).map_err(io_failed("write", "rename", file))
    }
}

const FILE: &str = "config.json";

fn mount_image(mount: &mut Value, index: usize, directory: &str, label: &str) -> StepResult<()> {
    let given = strings(mount.get("options"));
    let asked = Mount {
        destination: mount.get("destination").and_then(Value::as_str).unwrap_or_default().into(),
        kind: image_volume::TYPE.into(),
        options: given.clone(),
        ..Mount::default()
    };
    let mut image = image_volume::plan(&asked, &mut MountOptions::parse(&given), index, directory)?;
    image.label = label.into();
    let detached = image_volume::stack(&image)?;
    let at = format!("{directory}/image-{index}");
    let target = namespace::mount_target(&at, detached.directory)?;
    mounts::attach_at(detached.mount.as_fd(), target.as_fd(), &at)?;
    let for_mounting = |option: &String| !option.starts_with("lower=") && !option.starts_with("subpath=");
    let options = std::iter::once("rbind".to_owned()).chain(given.into_iter().filter(for_mounting));
    mount["type"] = json!("bind");
    mount["source"] = json!(at);
    mount["options"] = json!(options.collect::<Vec<_>>());
    Ok(())
}

fn check_source(mount: &Value, index: usize, directory: &str) -> StepResult<()> {
    let options = MountOptions::parse(&strings(mount.get("options")));
    if !options.bind && mount.get("type").and_then(Value::as_str) != Some("bind") {
        return Ok(());
    }
    let needs = match options.propagation {
        mount_attr::SLAVE => SourceNeeds::Receiving,
        mount_attr::SHARED => SourceNeeds::Sharing,
        _ => SourceNeeds::Nothing,
    };
    let source = mount.get("source").and_then(Value::as_str).unwrap_or_default();
    let path = if source.starts_with('/') { source.to_owned() } else { format!("{directory}/{source}") };
    sources::open(&SourceStep { index, path, recursive: options.bind_recursive, needs, mapped: false, relabel: false })
        .map(drop)
}

/// A file for root alone: it holds an environment.
///
/// # Errors
/// The failing call.
pub(crate) fn write_private(name: &str, bytes: &[u8]) -> StepResult<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(name);
    opened.and_then(|mut file| file.write_all(bytes)).map_err(io_failed("write", "write", name))
}

/// Rows and columns of `process.consoleSize`. PURE.
pub(crate) fn console_size(process: &Value) -> Option<(u16, u16)> {
    let part = |key: &str| process.pointer(key).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    part("/consoleSize/height").zip(part("/consoleSize/width")).filter(|size| *size != (0, 0))
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let texts = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn numbers(list: Option<&Value>) -> Vec<u32> {
    let all = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64);
    all.filter_map(|n| u32::try_from(n).ok()).collect()
}

/// Devices that the spec names by host path become nodes and rules.
fn add_devices(spec: &mut Value, completed: &mut Completed) -> StepResult<()> {
    let annotations = spec.get_mut("annotations").and_then(Value::as_object_mut);
    let Some(Value::String(text)) = annotations.and_then(|a| a.remove(DEVICES_ANNOTATION)) else { return Ok(()) };
    let requested: Vec<RequestedDevice> = serde_json::from_str(&text)
        .map_err(|e| StepError::invalid("read annotation", DEVICES_ANNOTATION, &e.to_string()))?;
    let mut found = Vec::new();
    for request in &requested {
        found.extend(devices::find(request)?);
    }
    insert_devices(spec, found.iter().map(|f| (&f.report, &f.node)));
    completed.devices = found.into_iter().map(|f| f.report).collect();
    Ok(())
}

/// Puts nodes and rules into the spec. PURE.
fn insert_devices<'a>(spec: &mut Value, found: impl Iterator<Item = (&'a FoundDevice, &'a Device)>) {
    let Some(linux) = spec.get_mut("linux").and_then(Value::as_object_mut) else { return };
    let (mut nodes, mut rules) = (Vec::new(), Vec::new());
    for (report, node) in found {
        nodes.push(json!({
            "path": node.path, "type": node.kind, "major": node.major, "minor": node.minor,
            "fileMode": node.file_mode.map(|m| m & 0o777), "uid": node.uid, "gid": node.gid
        }));
        let kind = if report.block { "b" } else { "c" };
        let (major, minor) = (report.major, report.minor);
        rules.push(json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": report.access}));
    }
    append(linux.entry("devices").or_insert_with(|| json!([])), nodes);
    let resources = linux.entry("resources").or_insert_with(|| json!({}));
    if let Some(resources) = resources.as_object_mut() {
        append(resources.entry("devices").or_insert_with(|| json!([])), rules);
    }
}

fn append(list: &mut Value, items: Vec<Value>) {
    if let Some(list) = list.as_array_mut() {
        list.extend(items);
    }
}

/// Fits a process object to what this process can give: runtimes fail where this runtime clamps and says so.
///
/// # Errors
/// The failing call; a name that is none.
pub(crate) fn fit_process(process: &mut Value) -> StepResult<Vec<String>> {
    let held = credentials::held()?;
    let mut notes = fit_capabilities(process, held)?;
    if held & SYS_RESOURCE == 0 {
        notes.extend(fit_limits(process, limits::ceiling));
    }
    if let Some(wanted) = process.get("oomScoreAdj").and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok())
        && let Some(note) = place::set_oom_score_adj(wanted)?
    {
        process["oomScoreAdj"] = json!(own_score());
        notes.push(note);
    }
    Ok(notes)
}

fn own_score() -> i32 {
    std::fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0)
}

/// Takes the capabilities that are not held out of every set. PURE.
fn fit_capabilities(process: &mut Value, held: u64) -> StepResult<Vec<String>> {
    let mut missing = 0;
    for list in process.get_mut("capabilities").and_then(Value::as_object_mut).into_iter().flat_map(|c| c.values_mut())
    {
        let bits = credentials::bits(&strings(Some(list)))?;
        missing |= bits & !held;
        *list = json!(credentials::names(bits & held));
    }
    let note = || format!("{} left out: not held", credentials::names(missing).join(", "));
    Ok(if missing == 0 { Vec::new() } else { vec![note()] })
}

/// Brings limits down to a ceiling. PURE but for the ceiling.
fn fit_limits(process: &mut Value, ceiling: impl Fn(Resource) -> u64) -> Vec<String> {
    let mut notes = Vec::new();
    for limit in process.get_mut("rlimits").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = limit.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(most) = process::resource(&name).map(&ceiling) else { continue };
        let part = |key: &str| limit.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (soft, hard) = (part("soft"), part("hard"));
        if hard > most {
            limit["soft"] = json!(soft.min(most));
            limit["hard"] = json!(most);
            let name = name.trim_start_matches("RLIMIT_");
            notes.push(format!("rlimit {name} hard {hard} clamped to {most}: no CAP_SYS_RESOURCE"));
        }
    }
    notes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_that_are_not_held_are_left_out() {
        let mut process = json!({"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": []}});
        let notes = fit_capabilities(&mut process, 1).unwrap();
        assert_eq!(process["capabilities"], json!({"bounding": ["CAP_CHOWN"], "ambient": []}));
        assert_eq!(notes, ["CAP_SYS_RESOURCE left out: not held"]);
        assert!(fit_capabilities(&mut json!({"capabilities": {"bounding": ["CAP_FLY"]}}), 1).is_err());
    }

    #[test]
    fn limits_are_brought_down() {
        let mut process = json!({"rlimits": [
            {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 5000},
            {"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]});
        let notes = fit_limits(&mut process, |_| 100);
        assert_eq!(process["rlimits"][0], json!({"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}));
        assert_eq!(process["rlimits"][1], json!({"type": "RLIMIT_CORE", "soft": 1, "hard": 2}));
        assert_eq!(notes, ["rlimit NOFILE hard 5000 clamped to 100: no CAP_SYS_RESOURCE"]);
    }

    #[test]
    fn devices_become_nodes_and_rules() {
        let mut spec = json!({"linux": {"devices": [], "resources": {"devices": [{"allow": false}]}}});
        let report = FoundDevice { path: "/dev/fuse".into(), block: false, major: 10, minor: 229, access: "rw".into() };
        let node = Device { path: "/dev/fuse".into(), kind: "c".into(), major: 10, minor: 229, ..Device::default() };
        insert_devices(&mut spec, std::iter::once((&report, &node)));
        assert_eq!(spec["linux"]["devices"][0]["path"], "/dev/fuse");
        let rule = json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"});
        assert_eq!(spec["linux"]["resources"]["devices"][1], rule);
    }

    #[test]
    fn a_console_has_a_size_only_if_it_is_given() {
        assert_eq!(console_size(&json!({"consoleSize": {"height": 24, "width": 80}})), Some((24, 80)));
        assert_eq!(console_size(&json!({"consoleSize": {"height": 0, "width": 0}})), None);
        assert_eq!(console_size(&json!({})), None);
    }
}
