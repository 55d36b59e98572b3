//! Which program carries a container's verbs out, and what is particular about it. PURE.

use podwright_container::place::Place;

/// What a runtime does otherwise than the runtime-spec's command line has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flavor {
    /// runc, crun, youki and their like: the container's process is a process of the host.
    #[default]
    Oci,
    /// gVisor: one sandbox process per pod; the container's process lives in its kernel.
    Runsc,
}

/// The sandbox of a pod: a container that does nothing and is there as long as the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its id.
    pub id: String,
    /// Absolute path of its bundle.
    pub bundle: String,
    /// Its cgroups, where all of the pod's containers run.
    pub place: Place,
}

/// An OCI runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Absolute path of the program.
    pub path: String,
    /// Directory of its own state, one per sandbox.
    pub root: String,
    /// Arguments before the verb.
    pub args: Vec<String>,
    /// Hide the unified cgroup tree of a hybrid host from it.
    pub hide_unified: bool,
    /// What it does otherwise.
    pub flavor: Flavor,
    /// The pod's sandbox; none where containers need none.
    pub pod: Option<Pod>,
}

impl Runtime {
    /// The program's name, for messages.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}
