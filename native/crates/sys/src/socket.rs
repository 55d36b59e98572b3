//! What a socket's queue holds.

use std::os::fd::{AsRawFd, BorrowedFd};

/// How much of what was sent the peer has not taken yet: bytes and what the kernel needs for them (unix(7), SIOCOUTQ).
/// `None` when the kernel does not say.
pub fn untaken(socket: BorrowedFd<'_>) -> Option<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the call (SIOCOUTQ has the same number) writes one int.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ as _, &raw mut count) };
    if done == 0 { usize::try_from(count).ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_was_taken_counts_no_more() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(untaken(ours.as_fd()), Some(0));
        ours.write_all(&[0; 1000]).unwrap();
        assert!(untaken(ours.as_fd()).unwrap() >= 1000);
        theirs.read_exact(&mut [0; 1000]).unwrap();
        assert_eq!(untaken(ours.as_fd()), Some(0));
    }
}
