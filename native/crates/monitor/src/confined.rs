//! A program with few rights: what it keeps is named by who starts it. It is a program of its own that takes the rights
//! away, before the other one is there: one with threads would have to do so in each of them.

use podwright_container::credentials::{self, Capabilities};
use podwright_container::error::{StepError, StepResult, io_failed};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What to run, and what it keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Confined {
    /// Names of capabilities.
    pub(crate) keep: Vec<String>,
    /// The program's path and its arguments.
    pub(crate) argv: Vec<String>,
}

/// Becomes the program; answers why not.
pub(crate) fn run(confined: &Confined) -> StepError {
    give_up_rights(&confined.keep).map_or_else(|error| error, |()| become_program(&confined.argv))
}

fn give_up_rights(keep: &[String]) -> StepResult<()> {
    let held = credentials::held()?;
    let keep = credentials::bits(keep)? & held;
    // without SETPCAP the bounding set stays; with no_new_privs no program gives more than is permitted now
    if held & credentials::bits(&["SETPCAP".to_owned()])? != 0 {
        credentials::limit_bounding(keep)?;
    }
    credentials::set_capabilities(Capabilities { effective: keep, permitted: keep, ..Capabilities::default() })?;
    credentials::no_new_privileges()
}

fn become_program(argv: &[String]) -> StepError {
    let (program, words) = argv.split_first().map_or(("", &[][..]), |(program, words)| (program.as_str(), words));
    io_failed("start", "execve", program)(Command::new(program).args(words).exec())
}
