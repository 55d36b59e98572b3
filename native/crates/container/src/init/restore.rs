//! The init child of a container that is brought back: it prepares the ground that its captured processes stand on, then
//! becomes the engine that puts them there.

use super::{FAILED, Init};
use crate::error::{Kind, StepError, StepResult, failed};
use crate::handles::Handles;
use crate::mounts;
use crate::options::MountOptions;
use crate::place;
use crate::report::{self, Report};
use crate::request::{PidMode, Request};
use crate::root::{self, make_private};
use crate::selinux;
use crate::steps::{self, MountSource, MountStep, RootStep, Step};
use podwright_sys::buffer::SharedNote;
use podwright_sys::clone;
use podwright_sys::mount_attr::{self, Change};
use rustix::fs::{Mode, OFlags};
use rustix::process::Uid;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What brings captured processes back.
pub trait Engine {
    /// Opens what they were captured in and fills the container's writable layer from it. Called in the host's mount
    /// namespace, before anything is mounted.
    ///
    /// # Errors
    /// What was captured is damaged, or something else than this container.
    fn fill(&mut self) -> StepResult<()>;

    /// Becomes the engine's program. Answers only a failure.
    fn run(&mut self, ground: &Ground<'_>) -> StepError;
}

/// What the engine stands on.
#[derive(Debug)]
pub struct Ground<'a> {
    /// Where the root file system is mounted.
    pub root: String,
    /// Where those mounts are that come from the host or the pod, by their path in the container.
    pub sources: BTreeMap<String, String>,
    /// The bundle as it was before anything was mounted on it.
    pub bundle: BorrowedFd<'a>,
    /// The way to the monitor.
    pub socket: BorrowedFd<'a>,
    /// The new standard input, output and error; none: /dev/null.
    pub streams: [Option<BorrowedFd<'a>>; 3],
}

/// Prepares a container and hands over to the engine. For a fresh fork of a process with one thread.
/// `note` always says what is under way.
pub fn run(
    request: &Request,
    handles: &Handles<'_>,
    born_in_cgroup: bool,
    note: &SharedNote,
    engine: &mut dyn Engine,
) -> ! {
    let error = match Init::new(request, handles, note).and_then(|mut init| init.bring_back(born_in_cgroup, engine)) {
        Ok(error) | Err(error) => error,
    };
    // The monitor may have gone; there is nobody else to tell.
    let _ = report::send(handles.socket, &Report::Failed(error), None);
    clone::exit_now(FAILED)
}

impl Init<'_> {
    fn bring_back(&mut self, born_in_cgroup: bool, engine: &mut dyn Engine) -> StepResult<StepError> {
        self.note.write("join the cgroup");
        place::enter(&self.request.place, born_in_cgroup)?;
        Handles::new(self.handles.socket).set_streams()?;
        self.refuse_foreign_namespaces()?;
        let spec = self.read_spec()?;
        if spec.hooks.is_some() {
            return Err(refused("its hooks would have to be run again"));
        }
        selinux::need(&spec)?;
        let plan = steps::plan(&spec, self.request)?;
        if !plan.process.selinux.is_empty() {
            return Err(refused(
                "its processes would come back in the SELinux context of the pod they were captured in",
            ));
        }
        self.own_streams(plan.process.identity.uid)?;
        let bundle = root::open_directory(&self.request.bundle)?;
        let mut stage = Stage { at: self.request.bundle.clone(), sources: BTreeMap::new() };
        for step in &plan.steps {
            match step {
                Step::Isolate { .. } => {
                    self.note.write("fill the writable layer from the checkpoint");
                    engine.fill()?;
                    self.carry_out(step)?;
                    stage.set_up()?;
                }
                Step::Root(RootStep::Overlay { overlay, .. }) => {
                    self.note.write("mount the root filesystem");
                    let step = RootStep::Overlay { overlay: overlay.clone(), at: stage.root() };
                    self.root = Some(root::mount_root(&step, None)?);
                }
                Step::Root(_) => return Err(refused("its root filesystem is not made of layers")),
                Step::Mount(step) => self.stage_mount(step, &mut stage)?,
                Step::ReadonlyRoot => {
                    mount_attr::set(self.root()?, Change { set: mount_attr::RDONLY, ..Change::default() }, false)?;
                }
                // what the processes see of these was captured
                Step::MakeDevices(_) | Step::DeviceLinks | Step::PivotRoot | Step::Mask(_) | Step::ReadonlyPath(_) => {}
                step => self.carry_out(step)?,
            }
        }
        self.root = None;
        self.sources.clear();
        self.note.write("restore the processes");
        let streams = [self.handles.stdin, self.handles.stdout, self.handles.stderr];
        let (root, socket) = (stage.root(), self.handles.socket);
        let ground = Ground { root, sources: stage.sources, bundle: bundle.as_fd(), socket, streams };
        Ok(engine.run(&ground))
    }

    fn refuse_foreign_namespaces(&self) -> StepResult<()> {
        if self.handles.users.is_some() {
            return Err(refused("the pod has a user namespace"));
        }
        if self.request.pid != PidMode::Own {
            return Err(refused("its pid namespace is not its own"));
        }
        if self.request.terminal {
            return Err(refused("it has a terminal"));
        }
        Ok(())
    }

    /// The pipes belong to the process's user, who may open them again by their names in /dev.
    fn own_streams(&self, uid: u32) -> StepResult<()> {
        [self.handles.stdin, self.handles.stdout, self.handles.stderr].into_iter().flatten().try_for_each(|stream| {
            rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), None).map_err(failed(
                "own a standard stream",
                "fchown",
                "",
            ))
        })
    }

    /// What comes from outside is put where the engine finds it; the rest it makes itself.
    fn stage_mount(&mut self, step: &MountStep, stage: &mut Stage) -> StepResult<()> {
        self.note.write(&format!("mount {}", step.target));
        let (tree, directory) = match &step.source {
            MountSource::Taken(index) => {
                let source = self.sources.remove(index).ok_or_else(super::out_of_order)?;
                (source.mount, source.directory)
            }
            MountSource::Shm => (self.handles.shm.ok_or_else(super::out_of_order)?.copy()?, true),
            _ => return Ok(()),
        };
        mounts::apply_options(tree.as_fd(), &step.options, &step.target)?;
        stage.put(&step.target, &tree, directory)
    }
}

fn refused(why: &str) -> StepError {
    StepError::without_call(Kind::Refused, "restore the container", "", why)
}

/// A small file system on the bundle's directory: the root is mounted in it, and beside it what comes from outside.
struct Stage {
    at: String,
    sources: BTreeMap<String, String>,
}

impl Stage {
    fn root(&self) -> String {
        format!("{}/root", self.at)
    }

    /// To be called in the mount namespace of its own.
    fn set_up(&self) -> StepResult<()> {
        make_private()?;
        let options = MountOptions { data: vec!["mode=0700".into()], ..MountOptions::default() };
        let tree = mounts::new_filesystem("tmpfs", "podwright-restore", &options)?;
        mounts::attach_at(tree.as_fd(), root::open_directory(&self.at)?.as_fd(), &self.at)?;
        make(&self.root(), true)
    }

    fn put(&mut self, target: &str, tree: &OwnedFd, directory: bool) -> StepResult<()> {
        let path = format!("{}/{}", self.at, self.sources.len());
        make(&path, directory)?;
        let at = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed("open", "open", &*path))?;
        mounts::attach_at(tree.as_fd(), at.as_fd(), target)?;
        self.sources.insert(target.into(), path);
        Ok(())
    }
}

fn make(path: &str, directory: bool) -> StepResult<()> {
    if directory {
        return rustix::fs::mkdir(path, Mode::RWXU).map_err(failed("make", "mkdir", path));
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::RUSR).map(drop).map_err(failed("make", "open", path))
}
