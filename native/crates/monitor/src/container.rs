//! One container as the monitor sees it: what it was asked for, where it stands, what it ended with.

use crate::external::External;
use crate::hooks::Hooks;
use crate::log::Log;
use crate::oom::Oom;
use crate::poller::Output;
use crate::reply::Asker;
use crate::revival::Revival;
use crate::stop::Stop;
use podwright_container::ear::Ear;
use podwright_protocol::message::{CgroupFacts, ContainerFact, ExitFact};
use podwright_sys::buffer::SharedNote;
use podwright_sys::signal::Ending;
use std::os::fd::OwnedFd;

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The init child sets it up; somebody waits for that.
    Creating(Asker),
    /// Set up; the child waits for the go.
    Created,
    /// The go was given; somebody waits for the exec.
    Starting(Asker),
    /// The program runs.
    Running,
    /// The exit is recorded.
    Ended,
    /// Its creation failed: it is forgotten when its child has ended.
    Failed,
}

/// The outputs of a process that are still open.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// Standard output, or a terminal's master.
    pub(crate) stdout: Option<OwnedFd>,
    /// Standard error.
    pub(crate) stderr: Option<OwnedFd>,
}

impl Outputs {
    /// The descriptor of an output.
    pub(crate) fn get(&self, output: Output) -> Option<&OwnedFd> {
        match output {
            Output::Stdout => self.stdout.as_ref(),
            Output::Stderr => self.stderr.as_ref(),
        }
    }

    /// Takes the descriptor of an output.
    pub(crate) fn take(&mut self, output: Output) -> Option<OwnedFd> {
        match output {
            Output::Stdout => self.stdout.take(),
            Output::Stderr => self.stderr.take(),
        }
    }

    /// Sets the descriptor of an output.
    pub(crate) fn put(&mut self, output: Output, fd: OwnedFd) {
        match output {
            Output::Stdout => self.stdout = Some(fd),
            Output::Stderr => self.stderr = Some(fd),
        }
    }

    /// Whether nothing more can come.
    pub(crate) fn are_closed(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }
}

/// Outputs that are held back.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    stdout: bool,
    stderr: bool,
}

impl Held {
    /// Whether an output is.
    pub(crate) fn contains(self, output: Output) -> bool {
        match output {
            Output::Stdout => self.stdout,
            Output::Stderr => self.stderr,
        }
    }

    /// Says whether an output is.
    pub(crate) fn set(&mut self, output: Output, held: bool) {
        match output {
            Output::Stdout => self.stdout = held,
            Output::Stderr => self.stderr = held,
        }
    }
}

/// How a container's main process ended, and what is told of that: it is found out at once, for its log may be waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// As the kernel says.
    pub(crate) how: Ending,
    /// It was killed for memory, or ended because what it ran was.
    pub(crate) for_memory: bool,
    /// A stop was under way.
    pub(crate) stopped: bool,
}

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    /// Its id.
    pub(crate) id: String,
    /// Its cgroup.
    pub(crate) cgroup: CgroupFacts,
    /// Where the exit is written.
    pub(crate) exit_file: String,
    /// Whether what is left in the cgroup dies with the main process.
    pub(crate) kill_rest: bool,
    /// The runtime that made it; none: this program.
    pub(crate) external: Option<External>,
    /// Those of its hooks that are run here; none: it has none.
    pub(crate) hooks: Option<Box<Hooks>>,
    /// Where its log is; empty for none.
    pub(crate) log_path: String,
    /// Where it stands.
    pub(crate) phase: Phase,
    /// The process whose end is the container's; 0 after it.
    pub(crate) pid: i32,
    /// When that process started, in clock ticks.
    pub(crate) start_time: u64,
    /// Unix nanoseconds.
    pub(crate) created_at: i64,
    /// Unix nanoseconds, 0 before.
    pub(crate) started_at: i64,
    /// Unix nanoseconds, 0 before: when the process's end was seen.
    pub(crate) finished_at: i64,
    /// The way to the child until it has become the program.
    pub(crate) report: Option<Ear>,
    /// It has a terminal.
    pub(crate) terminal: bool,
    /// It has an input that attachments may write to.
    pub(crate) has_stdin: bool,
    /// That input ends when the first who may write to it is detached.
    pub(crate) stdin_once: bool,
    /// The outputs that are not read now, because a reader holds them back.
    pub(crate) held: Held,
    /// Its bundle.
    pub(crate) bundle: String,
    /// It is brought back from a checkpoint.
    pub(crate) revival: Option<Revival>,
    /// What the child does now.
    pub(crate) note: Option<SharedNote>,
    /// Its outputs.
    pub(crate) outputs: Outputs,
    /// The writing end of its standard input.
    pub(crate) stdin: Option<OwnedFd>,
    /// Its log.
    pub(crate) log: Log,
    /// How the process ended, before that is recorded.
    pub(crate) ending: Option<End>,
    /// The exec failed: the exit is 128 whatever the child ended with.
    pub(crate) start_failed: bool,
    /// A stop is under way.
    pub(crate) stop: Option<Stop>,
    /// The monitor has killed it.
    pub(crate) killed: bool,
    /// Its OOM kills.
    pub(crate) oom: Oom,
    /// The recorded exit.
    pub(crate) exit: Option<ExitFact>,
    /// Who waits for it to be forgotten.
    pub(crate) removers: Vec<Asker>,
    /// Notes for the answer to its creation.
    pub(crate) notes: Vec<String>,
}

impl Container {
    /// What the daemon is told about it.
    pub(crate) fn fact(&self) -> ContainerFact {
        ContainerFact {
            container_id: self.id.clone(),
            pid: self.pid,
            start_time: self.start_time,
            created_at: self.created_at,
            started_at: self.started_at,
            exit: self.exit.clone(),
        }
    }

    /// Whether its process has not been seen to end.
    pub(crate) fn is_alive(&self) -> bool {
        self.pid != 0
    }
}
