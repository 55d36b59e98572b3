//! The verbs that need no container's mounts: `delete` and `kill`.

use crate::command::{self, Target};
use crate::run::{Call, Streams};
use crate::runtime::Runtime;
use crate::{namespace, run};
use podwright_container::error::StepResult;
use podwright_container::hooks::runtime as hooks;
use podwright_container::place::strip;
use podwright_container::report::{self, Report};
use podwright_sys::{clone, signal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How long `delete` may take: runtimes wait up to ten seconds for killed processes.
const DELETE_LIMIT: Duration = Duration::from_secs(30);

/// How long `kill` may take.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `delete --force`.
    Delete,
    /// `kill` with this signal.
    Kill(i32, Target),
}

/// Carries a verb out on a container. For a fresh fork of a process with one thread.
///
/// `namespaces`: those that its hooks are run in, none for a container without hooks.
pub fn run(runtime: &Runtime, id: &str, verb: Verb, (socket, namespaces): (&OwnedFd, &[OwnedFd])) -> ! {
    let keep: Vec<BorrowedFd<'_>> = namespaces.iter().chain([socket]).map(AsFd::as_fd).collect();
    let done = strip(&keep).and_then(|()| {
        signal::reset_all();
        if !namespaces.is_empty() {
            hooks::enter(namespaces)?;
        }
        run::null_streams()?;
        carry_out(runtime, id, verb)
    });
    let Err(error) = done else { clone::exit_now(0) };
    // The monitor may have gone; there is nobody else to tell.
    let _ = report::send(socket, &Report::Failed(error), None);
    clone::exit_now(1)
}

/// The same in the calling process, whose mount namespace may change.
///
/// # Errors
/// The runtime's.
pub fn carry_out(runtime: &Runtime, id: &str, verb: Verb) -> StepResult<()> {
    if !Path::new(&runtime.root).exists() {
        return Ok(()); // it has never made anything for this sandbox
    }
    if runtime.hide_unified {
        namespace::enter(true)?;
    }
    let (name, limit) = match verb {
        Verb::Delete => ("delete", DELETE_LIMIT),
        Verb::Kill(..) => ("kill", KILL_LIMIT),
    };
    let log = format!("{}/{id}.{name}.log", runtime.root);
    let argv = match verb {
        Verb::Delete => command::delete(runtime, id, &log),
        Verb::Kill(signal, target) => command::kill(runtime, id, &log, signal, target),
    };
    let ran = run::run(&Call { runtime, argv: &argv, verb: name, limit, streams: Streams::Same, give_up: None }, &log);
    let _ = rustix::fs::unlink(&log);
    match ran {
        // not every runtime takes --force for a container that it does not know
        Err(error) if verb == Verb::Delete && error.detail.contains("does not exist") => Ok(()),
        other => other,
    }
}
