//! How much a thread may take from others: nice(2) and ioprio_set(2), for the calling thread only.

use crate::errno::{SysError, SysResult};

/// `IOPRIO_WHO_PROCESS` with id 0 means the calling thread (ioprio_set(2)).
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
/// `IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT`: the disk only when nobody else wants it.
const IOPRIO_IDLE: libc::c_int = 3 << 13;

/// Sets the nice value (-20 to 19) of the calling thread; on Linux it is a thread's, not the process's.
pub fn set_thread_nice(nice: i32) -> SysResult<()> {
    // SAFETY: setpriority takes three integers and touches no memory of ours.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if done == 0 { Ok(()) } else { Err(last("set the thread's nice value", "setpriority")) }
}

/// Puts the calling thread some steps of niceness behind the process's first thread, 19 at most: work that gives way to
/// the program it is part of, at whatever priority that was started.
pub fn set_thread_behind_process(steps: i32) -> SysResult<()> {
    // SAFETY: getpriority takes two integers. The call itself gives 20 less the nice value, so that below 0 is an error.
    let priority = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, libc::getpid()) };
    if priority < 0 {
        return Err(last("read the process's nice value", "getpriority"));
    }
    let nice = 20 - i32::try_from(priority).unwrap_or(20);
    set_thread_nice((nice + steps).min(19))
}

/// Puts the calling thread behind everybody else: nice 19 and the idle class of the disk.
///
/// Not `SCHED_IDLE`: a thread of that class, preempted while it holds a journal handle or a
/// directory's lock, would keep the whole file system waiting for as long as the machine is busy.
pub fn set_thread_background() -> SysResult<()> {
    set_thread_nice(19)?;
    // SAFETY: ioprio_set takes three integers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE) };
    if done == 0 { Ok(()) } else { Err(last("set the thread's disk priority", "ioprio_set")) }
}

fn last(operation: &'static str, syscall: &'static str) -> SysError {
    SysError::from_io(operation, syscall, &std::io::Error::last_os_error(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_steps_back_and_others_stay() {
        let nice_of_this = || {
            // SAFETY: getpriority takes two integers.
            unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
        };
        let before = nice_of_this();
        let behind = std::thread::spawn(move || {
            set_thread_behind_process(1).expect("set");
            set_thread_behind_process(1).expect("not one more");
            nice_of_this()
        });
        assert_eq!(behind.join().expect("join"), (before + 1).min(19));
        let inside = std::thread::spawn(move || {
            set_thread_background().expect("set");
            nice_of_this()
        });
        assert_eq!(inside.join().expect("join"), 19);
        assert_eq!(nice_of_this(), before);
    }
}
