//! A process that writes a log for the monitor, when the log's filesystem may keep a writer
//! waiting (ruling 6). What it is given and has not written yet is bounded by its socket; what
//! does not fit is dropped, as with a full disk.

use crate::log::{Target, write_file};
use podwright_container::place;
use podwright_sys::clone::{self, Forked};
use podwright_sys::signal;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Bytes that may wait to be written.
const QUEUE: usize = 1024 * 1024;

/// The largest batch: the monitor's room for records.
const BATCH: usize = 64 * 1024;

/// How often a failed write is tried again before its records are given up.
const TRIES: u32 = 10;

/// Starts a writer for a file. Where that fails the file is written directly.
pub(crate) fn start(file: OwnedFd) -> Target {
    let Ok((ours, theirs)) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None) else {
        return Target::File(file);
    };
    // the usual size does as well, with less room
    let _ = set_socket_send_buffer_size_force(&ours, QUEUE);
    match clone::fork(0, None) {
        Ok(Forked::Parent(_)) => {
            // a descriptor that could not be closed elsewhere was closed here
            let _ = clone::close_elsewhere(file);
            Target::Process(ours)
        }
        Ok(Forked::Child) => run(&file, &theirs),
        Err(_) => Target::File(file),
    }
}

/// Gives records to a writer without waiting. Answers how many bytes it has, and what went wrong.
pub(crate) fn hand_over(socket: &OwnedFd, bytes: &[u8]) -> (usize, Option<Errno>) {
    loop {
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => return (count, None),
            Err(Errno::INTR) => {}
            Err(errno) => return (0, Some(errno)),
        }
    }
}

/// Writes until the monitor closes its end.
fn run(file: &OwnedFd, socket: &OwnedFd) -> ! {
    if place::strip(&[file.as_fd(), socket.as_fd()]).is_err() {
        clone::exit_now(1);
    }
    signal::reset_all();
    let mut batch = vec![0; BATCH];
    loop {
        match rustix::io::read(socket, &mut batch) {
            Ok(0) => clone::exit_now(0),
            Ok(count) => write_patiently(file, batch.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(_) => clone::exit_now(1),
        }
    }
}

fn write_patiently(file: &OwnedFd, mut bytes: &[u8]) {
    for _ in 0..TRIES {
        let (done, failed) = write_file(file, bytes);
        if failed.is_none() {
            return;
        }
        bytes = bytes.get(done..).unwrap_or_default();
        std::thread::sleep(Duration::from_millis(100));
    }
}
