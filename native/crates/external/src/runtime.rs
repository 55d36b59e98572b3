//! Which program carries a container's verbs out, and what is particular about it. PURE.

/// What a runtime does otherwise than the runtime-spec's command line has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flavor {
    /// runc, crun, youki and their like: the container's process is a process of the host.
    #[default]
    Oci,
    /// gVisor: one sandbox process per pod; the container's process lives in its kernel.
    Runsc,
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
}

impl Runtime {
    /// The program's name, for messages.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}
