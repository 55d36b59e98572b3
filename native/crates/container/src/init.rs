//! The init child: walks the plan's steps, waits for the go, becomes the program.

mod hooks;
pub mod restore;

use crate::devices::{self, Found};
use crate::error::{Kind, StepError, StepResult, failed, io_failed};
use crate::handles::{self, Handles};
use crate::hooks::Subject;
use crate::image_volume;
use crate::launch::{self, Origin, StartHooks, Way};
use crate::mounts;
use crate::place;
use crate::report::{self, Report};
use crate::request::Request;
use crate::root::{self, Masks};
use crate::shared_mount::SharedMountRef;
use crate::shelf::Shelf;
use crate::sources::{self, Detached};
use crate::spec::{Device, Spec};
use crate::steps::{self, MountSource, MountStep, RootStep, Step};
use crate::users::Users;
use crate::{apparmor, cgroup_mount, handover, logfile, rules, selinux, sysctl, terminal};
use podwright_sys::buffer::SharedNote;
use podwright_sys::{clone, namespace, signal};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Mapped {
    fn shelf(&mut self) -> StepResult<&mut Shelf> {
        match &mut self.shelf {
            Some(shelf) => Ok(shelf),
            none => Ok(none.insert(Shelf::new()?)),
        }
    }
}

/// Exit code of a child that did not become the program.
const FAILED: i32 = 128;

/// Makes the container and runs its program. For a fresh fork of a process with one thread.
/// `note` always says what is under way.
pub fn run(request: &Request, handles: &Handles<'_>, born_in_cgroup: bool, note: &SharedNote) -> ! {
    let error = match Init::new(request, handles, note).and_then(|mut init| init.walk(born_in_cgroup)) {
        Ok(error) | Err(error) => error,
    };
    // The monitor may have gone; there is nobody else to tell.
    let _ = report::send(handles.socket, &Report::Failed(error), None);
    clone::exit_now(FAILED)
}

struct Init<'a> {
    request: &'a Request,
    handles: &'a Handles<'a>,
    note: &'a SharedNote,
    origin: Origin,
    found: Vec<Found>,
    sources: BTreeMap<usize, Detached>,
    masks: Option<Masks>,
    root: Option<OwnedFd>,
    own_cgroups: String,
    /// With a user namespace: taken before it was entered.
    mapped: Mapped,
    /// What its hooks are told.
    subject: Option<Subject>,
    /// SELinux context of what it mounts.
    mount_label: String,
    confined: Confined,
}

/// What waits for the next exec.
#[derive(Debug, Default)]
struct Confined {
    /// An AppArmor profile.
    apparmor: bool,
    /// A SELinux context.
    selinux: bool,
}

/// What only the host's root can take, for a container with a user namespace.
#[derive(Default)]
struct Mapped {
    /// Where overlays are put together.
    shelf: Option<Shelf>,
    /// Its root filesystem, mounted nowhere.
    root: Option<OwnedFd>,
    /// A copy of the pod's /dev/shm.
    shm: Option<OwnedFd>,
    /// A copy of the pod's /proc.
    proc_mount: Option<OwnedFd>,
}

impl<'a> Init<'a> {
    fn new(request: &'a Request, handles: &'a Handles<'a>, note: &'a SharedNote) -> StepResult<Self> {
        place::strip(&handles.list())?;
        signal::reset_all();
        Ok(Self {
            request,
            handles,
            note,
            origin: Origin::here()?,
            found: Vec::new(),
            sources: BTreeMap::new(),
            masks: None,
            root: None,
            own_cgroups: String::new(),
            mapped: Mapped::default(),
            subject: None,
            mount_label: String::new(),
            confined: Confined::default(),
        })
    }

    fn walk(&mut self, born_in_cgroup: bool) -> StepResult<StepError> {
        self.note.write("join the cgroup");
        place::enter(&self.request.place, born_in_cgroup)?;
        self.handles.set_streams()?;
        let spec = self.read_spec()?;
        let plan = steps::plan(&spec, self.request)?;
        let process = &plan.process;
        self.subject = spec.hooks.as_ref().map(|_| Subject::new(&spec, &self.request.id, &self.request.bundle));
        if let Some(text) = place::set_oom_score_adj(process.oom_score_adj.unwrap_or(0))? {
            self.tell(&Report::Note(text))?;
        }
        if self.handles.users.is_none()
            && let Some(text) = launch::grantable(process, &self.origin).1
        {
            self.tell(&Report::Note(text))?;
        }
        selinux::need(&spec)?;
        self.mount_label.clone_from(&spec.linux.mount_label);
        apparmor::set_on_exec(&process.apparmor)?;
        selinux::set_on_exec(&process.selinux)?;
        self.confined = Confined { apparmor: !process.apparmor.is_empty(), selinux: !process.selinux.is_empty() };
        if let Some(users) = &self.handles.users {
            for text in launch::prepare_outside(process, users)? {
                self.tell(&Report::Note(text))?;
            }
            let copy = |mount: Option<SharedMountRef<'_>>| mount.map(|m| m.copy()).transpose();
            self.mapped.shm = copy(self.handles.shm)?;
            self.mapped.proc_mount = copy(self.handles.proc_mount)?;
        }
        for step in &plan.steps {
            self.carry_out(step)?;
            if *step == Step::PivotRoot {
                make_working_directory(&process.cwd)?; // before anything in the root is shut
            }
        }
        (self.masks, self.root, self.mapped) = (None, None, Mapped::default());
        self.sources.clear();
        for text in launch::prepare(process, self.handles.users.is_some())? {
            self.tell(&Report::Note(text))?;
        }
        let devices = std::mem::take(&mut self.found).into_iter().map(|f| f.report).collect();
        self.tell(&Report::Ready { devices, groups: process.identity.groups.clone() })?;
        drop(spec);
        self.await_go();
        let way = Way {
            socket: self.handles.socket,
            fork: self.handles.pid_namespace.is_some(),
            pid_namespace: self.handles.pid_namespace,
            terminal: self.request.terminal,
            hooks: self.subject.as_ref().map(|subject| StartHooks { list: &plan.start_hooks, subject }),
        };
        Ok(launch::launch(process, &self.origin, way))
    }

    fn tell(&self, report: &Report) -> StepResult<()> {
        report::send(self.handles.socket, report, None)
    }

    fn read_spec(&self) -> StepResult<Spec> {
        let path = format!("{}/config.json", self.request.bundle);
        self.note.write(&format!("read {path}"));
        let text = std::fs::read(&path).map_err(io_failed("read", "read", &path))?;
        serde_json::from_slice(&text).map_err(|e| StepError::invalid("read", &path, &e.to_string()))
    }

    /// Nothing to do until StartContainer. The monitor's end: so does this process.
    fn await_go(&self) {
        self.note.write("wait for the start");
        self.await_byte();
    }

    fn await_byte(&self) {
        let mut byte = [0; 1];
        loop {
            match rustix::io::read(self.handles.socket, &mut byte) {
                Ok(1) => return,
                Err(rustix::io::Errno::INTR) => {}
                _ => clone::exit_now(FAILED),
            }
        }
    }

    fn carry_out(&mut self, step: &Step) -> StepResult<()> {
        match step {
            Step::OpenLog(path) => {
                self.note.write(&format!("open log {path}"));
                let log = logfile::open(path)?;
                let remote = logfile::is_remote(&log)?;
                report::send(self.handles.socket, &Report::Log { remote }, Some(log.as_fd()))
            }
            Step::FindDevices(requested) => {
                for request in requested {
                    self.note.write(&format!("resolve device {}", request.host_path));
                    let found = devices::find(request)?;
                    match self.handles.users {
                        None => self.found.extend(found),
                        Some(_) => found.into_iter().try_for_each(|f| f.take().map(|f| self.found.push(f)))?,
                    }
                }
                Ok(())
            }
            Step::DeviceRules(rules) => self.rule_devices(rules),
            Step::TakeSource(step) => {
                self.note.write(&format!("open mount source {}", step.path));
                let (source, notes) = sources::take(step, self.handles.users, self.request.relabel.as_ref())?;
                self.sources.insert(step.index, source);
                notes.into_iter().try_for_each(|text| self.tell(&Report::Note(text)))
            }
            Step::GiveCgroup(uid) => {
                let (owner, _) = self.users()?.outside(*uid, 0)?;
                place::give_cgroup(&self.request.place, owner)
            }
            Step::MapRoot(step) => {
                self.note.write("mount the root filesystem");
                self.mapped.root = Some(self.map_root(step)?);
                Ok(())
            }
            Step::EnterUsers { own_pids } => self.enter_users(*own_pids),
            Step::Sysctl(name, value) => sysctl::write(name, value),
            Step::Isolate { cgroup_namespace } => {
                self.own_cgroups = cgroup_mount::own_cgroups()?;
                let cgroup = if *cgroup_namespace { namespace::CGROUP } else { 0 };
                namespace::unshare(namespace::MOUNT | cgroup)?;
                root::make_private()
            }
            Step::StackImage(step) => {
                self.note.write(&format!("stack the image for {}", step.target));
                let volume = match self.handles.users {
                    None => image_volume::stack(step)?,
                    Some(users) => image_volume::stack_mapped(step, self.mapped.shelf()?, &users)?,
                };
                self.sources.insert(step.index, volume);
                Ok(())
            }
            Step::Root(step) => {
                self.note.write("mount the root filesystem");
                self.make_root_directory(step)?;
                self.root = Some(root::mount_root(step, self.mapped.root.take())?);
                Ok(())
            }
            Step::Mount(step) => self.mount(step),
            Step::MakeDevices(list) => self.make_devices(list),
            Step::DeviceLinks => devices::make_links(self.root()?),
            Step::Terminal { uid, size } => {
                let terminal = terminal::open(self.root()?, *uid, *size)?;
                terminal::bind_console(self.root()?, &terminal)?;
                report::send(self.handles.socket, &Report::Terminal, Some(terminal.master.as_fd()))?;
                handles::set_terminal_streams(&terminal.slave)
            }
            Step::RuntimeHooks => self.await_runtime_hooks(),
            Step::ContainerHooks(list) => self.run_container_hooks(list),
            Step::PivotRoot => {
                self.masks = Some(Masks::prepare(&self.mount_label)?);
                root::pivot(self.root()?)?;
                self.root = None;
                Ok(())
            }
            Step::Mask(path) => match &mut self.masks {
                Some(masks) => masks.cover(path),
                None => Err(out_of_order()),
            },
            Step::ReadonlyPath(path) => root::read_only_path(path),
            Step::ReadonlyRoot => root::read_only_root(),
        }
    }

    fn root(&self) -> StepResult<BorrowedFd<'_>> {
        self.root.as_ref().map(AsFd::as_fd).ok_or_else(out_of_order)
    }

    fn rule_devices(&self, rules: &[podwright_cgroups::devices::DeviceRule]) -> StepResult<()> {
        let mut rules = rules.to_vec();
        for found in &self.found {
            rules.push(rules::of_found(&found.report)?);
        }
        let request = self.request;
        podwright_cgroups::devices::apply(&request.devices_v1_dir, &request.devices_v2_dir, &rules).map_err(|e| {
            let object = format!("{}{}", request.devices_v1_dir, request.devices_v2_dir);
            let mut error = StepError::without_call(Kind::Internal, "set device rules of", &object, &e.to_string());
            error.errno = e.errno();
            error
        })
    }

    fn make_devices(&self, list: &[Device]) -> StepResult<()> {
        let root = self.root()?;
        let mask = rustix::process::umask(rustix::fs::Mode::empty());
        let made = self.make_each_device(root, list);
        rustix::process::umask(mask);
        made
    }

    fn make_each_device(&self, root: BorrowedFd<'_>, list: &[Device]) -> StepResult<()> {
        for device in list {
            // root of a user namespace makes fifos only
            match self.handles.users.filter(|_| device.kind != "p") {
                None => devices::make(root, device, &device.path)?,
                Some(_) => devices::bind(root, &device.path, &devices::host_node(&device.path)?)?,
            }
        }
        // the container's ptmx is its own devpts's: a link
        self.found.iter().filter(|found| found.node.path != "/dev/ptmx").try_for_each(|found| match &found.taken {
            None => devices::make(root, &found.node, &found.host),
            Some(node) => devices::bind(root, &found.node.path, node),
        })
    }

    fn map_root(&mut self, step: &RootStep) -> StepResult<OwnedFd> {
        let users = self.users()?;
        match step {
            RootStep::Directory(path) => root::map_directory(path, &users),
            RootStep::Overlay { overlay, .. } => {
                let copy = |at: &str| root::private_copy(root::open_directory(at)?.as_fd(), false, at);
                self.mapped.shelf()?.stack(overlay, &users, copy)
            }
            RootStep::Mapped => Err(out_of_order()),
        }
    }

    /// Enters the pod's user namespace as its root. With a pid namespace of the container's own this process ends
    /// here, and its child goes on: only a process in a pid namespace can mount its /proc.
    fn enter_users(&mut self, own_pids: bool) -> StepResult<()> {
        self.mapped.shelf.take().map_or(Ok(()), Shelf::take_down)?;
        self.users()?.enter()?;
        self.origin = self.origin.in_user_namespace()?;
        if own_pids { handover::to_child(self.handles.socket, clone::NEWPID) } else { Ok(()) }
    }

    fn users(&self) -> StepResult<Users<'a>> {
        self.handles.users.ok_or_else(out_of_order)
    }

    fn mount(&mut self, step: &MountStep) -> StepResult<()> {
        self.note.write(&format!("mount {}", step.target));
        self.mount_one(step).map_err(|mut e| {
            if !e.operation.contains(&step.target) {
                e.operation = format!("mount {}", step.target);
                e.detail = format!("mount {}: {}", step.target, e.detail);
            }
            e
        })
    }

    fn mount_one(&mut self, step: &MountStep) -> StepResult<()> {
        let (shm, proc_mount) = match &step.source {
            MountSource::Shm => (self.mapped.shm.take(), None),
            MountSource::PodProc => (None, self.mapped.proc_mount.take()),
            _ => (None, None),
        };
        let root = self.root()?;
        mounts::refuse_linked_target(root, &step.target)?;
        let shared = |taken: Option<OwnedFd>, mount: Option<SharedMountRef<'_>>| {
            taken.map_or_else(|| mount.ok_or_else(out_of_order)?.copy(), Ok)
        };
        let (tree, directory) = match &step.source {
            MountSource::Cgroups => return cgroup_mount::mount(root, step, &self.own_cgroups),
            MountSource::New { kind, source, label } => {
                let tree = mounts::new_filesystem(kind, source, &step.options)?;
                selinux::label_root(tree.as_fd(), label)?;
                (tree, true)
            }
            MountSource::Shm => (shared(shm, self.handles.shm)?, true),
            MountSource::PodProc => (shared(proc_mount, self.handles.proc_mount)?, true),
            MountSource::Taken(index) => {
                let source = self.sources.get(index).ok_or_else(out_of_order)?;
                mounts::refuse_false_proc(step, source)?;
                mounts::apply_options(source.mount.as_fd(), &step.options, &step.target)?;
                mounts::attach(root, source.mount.as_fd(), &step.target, source.directory)?;
                self.sources.remove(index);
                return Ok(());
            }
        };
        let options = if matches!(step.source, MountSource::New { .. }) {
            crate::options::MountOptions { set: 0, ..step.options.clone() } // set at its making
        } else {
            step.options.clone()
        };
        mounts::apply_options(tree.as_fd(), &options, &step.target)?;
        mounts::attach(root, tree.as_fd(), &step.target, directory)
    }
}

fn out_of_order() -> StepError {
    StepError::without_call(Kind::Internal, "make the container", "", "a step came before what it needs")
}

/// To be called inside the root.
fn make_working_directory(cwd: &str) -> StepResult<()> {
    match rustix::fs::stat(cwd) {
        Err(rustix::io::Errno::NOENT) => crate::paths::make_host_directories(cwd),
        Ok(_) | Err(rustix::io::Errno::ACCESS) => Ok(()),
        Err(e) => Err(failed("look at working directory", "stat", cwd)(e)),
    }
}
