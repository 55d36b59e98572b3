//! What children say over their report sockets, and children that end.

use crate::container::{Container, Phase};
use crate::hooks::Moment;
use crate::poller::Source;
use crate::reply::failure;
use crate::sandbox::step_failure;
use crate::server::Monitor;
use podwright_container::ear::Ear;
use podwright_container::report::{Received, Report};
use podwright_protocol::message::failure::Kind;
use podwright_sys::errno::SysResult;
use podwright_sys::signal::{self, Ending};
use std::os::fd::OwnedFd;

/// Ended processes remembered until it is known whose they were; more than that are nobody's.
const MAX_STRAYS: usize = 256;

impl Monitor {
    /// A child has something to say: everything it has said is heard.
    pub(crate) fn report_ready(&mut self, key: u64) -> SysResult<()> {
        while let Some(ear) = self.ear(key) {
            match ear.hear() {
                Ok(Received::Nothing) => break,
                Ok(Received::Message(report, fd)) => self.heard(key, report, fd)?,
                Ok(Received::End) => {
                    let early = ear.is_early();
                    self.close_report(key);
                    self.report_ended(key, early)?;
                }
                Err(error) => {
                    self.close_report(key);
                    self.child_failed(key, step_failure(&error))?;
                    self.end_unheard(key)?;
                }
            }
        }
        Ok(())
    }

    fn ear(&mut self, key: u64) -> Option<&mut Ear> {
        if let Some(container) = self.containers.get_mut(&key) {
            return container.report.as_mut();
        }
        if let Some(exec) = self.execs.get_mut(&key) {
            return exec.report.as_mut();
        }
        if let Some(helper) = self.helpers.get_mut(&key) {
            return helper.report.as_mut();
        }
        if let Some(run) = self.hook_runs.get_mut(&key) {
            return run.report.as_mut();
        }
        self.reopens.get_mut(&key).and_then(|r| r.report.as_mut())
    }

    /// Ends a child that cannot be heard any more: what it does is not known.
    fn end_unheard(&mut self, key: u64) -> SysResult<()> {
        if self.containers.contains_key(&key) {
            self.kill_container(key);
            return Ok(());
        }
        self.kill_exec(key)
    }

    /// Stops hearing a child.
    pub(crate) fn close_report(&mut self, key: u64) {
        let ear = if let Some(container) = self.containers.get_mut(&key) {
            container.report.take()
        } else if let Some(exec) = self.execs.get_mut(&key) {
            exec.report.take()
        } else if let Some(helper) = self.helpers.get_mut(&key) {
            helper.report.take()
        } else if let Some(run) = self.hook_runs.get_mut(&key) {
            run.report.take()
        } else {
            self.reopens.get_mut(&key).and_then(|r| r.report.take())
        };
        if let Some(ear) = ear {
            self.poller.remove(&ear);
            ear.close();
        }
    }

    fn heard(&mut self, key: u64, report: Report, fd: Option<OwnedFd>) -> SysResult<()> {
        match (report, fd) {
            (Report::Failed(error), _) => self.child_failed(key, step_failure(&error)),
            (Report::Note(text), _) if self.hook_runs.contains_key(&key) => self.hook_note(key, text),
            (Report::Hooks, _) => self.run_hooks(key, Moment::Create, None),
            (Report::Note(text), _) => {
                if let Some(container) = self.containers.get_mut(&key) {
                    container.notes.push(text);
                }
                Ok(())
            }
            (Report::Log { remote }, Some(file)) => {
                if let Some(container) = self.containers.get_mut(&key) {
                    container.log.open(file, remote);
                    return Ok(());
                }
                self.reopened(key, file, remote)
            }
            (Report::Terminal, Some(master)) if self.execs.contains_key(&key) => self.exec_terminal(key, master),
            (Report::Terminal, Some(master)) => self.container_terminal(key, master),
            (Report::Ready { devices, groups }, _) => self.container_ready(key, devices, groups),
            (Report::Started, _) if self.hook_runs.contains_key(&key) => {
                self.hooks_worked(key);
                Ok(())
            }
            (Report::Started, _) => {
                if let Some(external) = self.containers.get_mut(&key).and_then(|c| c.external.as_mut()) {
                    external.set_started();
                }
                Ok(())
            }
            (Report::Inner(pid), _) => {
                self.exec_inner(key, pid);
                Ok(())
            }
            (Report::Process { pid, .. }, _) if self.execs.contains_key(&key) => self.exec_process(key, pid),
            (Report::Process { pid, .. }, _) => self.container_process(key, pid),
            (Report::Engine, Some(socket)) => self.revival_begins(key, socket),
            (Report::Log { .. } | Report::Terminal | Report::Proc | Report::Engine, _) => {
                let text = "its descriptor did not come along";
                self.child_failed(key, failure(Kind::Internal, "hear a child", "", text))
            }
        }
    }

    fn child_failed(&mut self, key: u64, why: Box<podwright_protocol::message::Failure>) -> SysResult<()> {
        if self.containers.contains_key(&key) {
            return self.container_failed(key, why);
        }
        if self.execs.contains_key(&key) {
            self.exec_failed(key, why);
            return Ok(());
        }
        if self.helpers.contains_key(&key) {
            self.helper_failed(key, why);
            return Ok(());
        }
        if self.hook_runs.contains_key(&key) {
            self.hooks_failed(key, why);
            return Ok(());
        }
        self.reopen_failed(key, why)
    }

    /// `early`: before there was the process that becomes the program.
    fn report_ended(&mut self, key: u64, early: bool) -> SysResult<()> {
        if self.containers.contains_key(&key) {
            self.container_report_ended(key, early)?;
            return self.decide(key);
        }
        if self.helpers.contains_key(&key) {
            return self.helper_ended(key);
        }
        if self.hook_runs.contains_key(&key) {
            return self.hooks_ended(key);
        }
        if self.execs.contains_key(&key) {
            return self.exec_report_ended(key);
        }
        if self.reopens.contains_key(&key) {
            let why = failure(Kind::Internal, "reopen the log", "", "the helper process ended");
            return self.reopen_failed(key, why);
        }
        Ok(())
    }

    /// Takes every child that has ended.
    pub(crate) fn reap(&mut self) -> SysResult<()> {
        while let Some((pid, ending)) = signal::reap_any()? {
            self.child_ended(pid, ending)?;
        }
        Ok(())
    }

    fn child_ended(&mut self, pid: i32, ending: Ending) -> SysResult<()> {
        let Some(key) = self.owner_of(pid) else { return self.unknown_ended(pid, ending) };
        // What it said before it ended may change whose end this is, and what it means.
        self.report_ready(key)?;
        self.revival_ready(key)?;
        if self.owner_of(pid) != Some(key) {
            return Ok(()); // it had handed over to another process
        }
        if self.execs.contains_key(&key) {
            return self.exec_ended(key, ending);
        }
        self.container_ended(key, ending)
    }

    fn owner_of(&self, pid: i32) -> Option<u64> {
        let container = self.containers.iter().find(|(_, c)| c.pid == pid).map(|(key, _)| *key);
        container.or_else(|| self.execs.iter().find(|(_, e)| e.pid == pid).map(|(key, _)| *key))
    }

    /// The pause, an orphan of a container, a helper; or a process that a child has just forked
    /// and not told yet.
    fn unknown_ended(&mut self, pid: i32, ending: Ending) -> SysResult<()> {
        if let Some(sandbox) = self.sandbox.as_mut().filter(|s| s.pause_pid() == pid) {
            sandbox.pause = None;
            return Ok(());
        }
        if self.take_hooks(pid) {
            return Ok(());
        }
        if self.strays.len() >= MAX_STRAYS {
            self.strays.remove(0);
        }
        self.strays.push((pid, ending));
        // Who has it may have said so meanwhile.
        let open: Vec<u64> = self.children_under_way();
        for key in open {
            self.report_ready(key)?;
        }
        if self.children_under_way().is_empty() {
            self.strays.clear();
        }
        Ok(())
    }

    /// Those whose child may have forked its program's process and not told yet.
    fn children_under_way(&self) -> Vec<u64> {
        let starting = |c: &Container| c.report.is_some() && matches!(c.phase, Phase::Creating(_) | Phase::Starting(_));
        let containers = self.containers.iter().filter(|(_, c)| starting(c)).map(|(key, _)| *key);
        containers.chain(self.execs.iter().filter(|(_, e)| e.report.is_some()).map(|(key, _)| *key)).collect()
    }

    /// If a process that has just become known has ended already, its end is handled now.
    pub(crate) fn take_stray(&mut self, pid: i32) -> SysResult<()> {
        let Some(at) = self.strays.iter().position(|(stray, _)| *stray == pid) else { return Ok(()) };
        let (_, ending) = self.strays.swap_remove(at);
        self.child_ended(pid, ending)
    }

    /// Watches a report socket.
    pub(crate) fn watch_report(&self, key: u64, socket: &OwnedFd) -> SysResult<()> {
        self.poller.add(socket, Source::Report(key))
    }
}
