//! Hooks of a container that is made: those of the runtime's namespaces are waited for, its own are run.

use super::{Init, out_of_order};
use crate::apparmor;
use crate::error::{StepResult, io_failed};
use crate::hooks::{self, Call, Status};
use crate::report::Report;
use crate::selinux;
use crate::spec::Hook;
use crate::steps::RootStep;

impl Init<'_> {
    /// Hooks find the root filesystem at a directory of its own in the bundle.
    pub(super) fn make_root_directory(&self, step: &RootStep) -> StepResult<()> {
        let RootStep::Overlay { at, .. } = step else { return Ok(()) };
        if *at == self.request.bundle {
            return Ok(());
        }
        match std::fs::create_dir(at) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(io_failed("make the root's directory", "mkdir", at)(e))
            }
            _ => Ok(()),
        }
    }

    /// The monitor runs them and says when they have worked; if one has not, it ends this process.
    pub(super) fn await_runtime_hooks(&self) -> StepResult<()> {
        self.note.write("wait for the createRuntime hooks");
        self.tell(&Report::Hooks)?;
        self.await_byte();
        Ok(())
    }

    pub(super) fn run_container_hooks(&self, list: &[Hook]) -> StepResult<()> {
        const KIND: &str = "createContainer";
        let subject = self.subject.as_ref().ok_or_else(out_of_order)?;
        let state = subject.state(Status::Creating, Some(rustix::process::getpid().as_raw_nonzero().get()))?;
        let directory = &self.request.bundle;
        // profile and context are for the container's program, not for the host's
        let prepare = || {
            if self.confined.apparmor {
                apparmor::set_on_exec("unconfined")?;
            }
            if self.confined.selinux { selinux::set_none_on_exec() } else { Ok(()) }
        };
        for hook in list {
            self.note.write(&format!("run the {KIND} hook {}", hook.path));
            hooks::run(&Call { kind: KIND, hook, state: &state, directory, prepare: &prepare, give_up: None })?;
        }
        Ok(())
    }
}
