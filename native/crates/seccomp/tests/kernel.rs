//! The default profile's filter in the kernel: each check runs in a child that loads it.
#![cfg(all(feature = "host-tests", target_arch = "x86_64"))]
#![allow(unsafe_code)]

use podwright_seccomp::{Profile, compile};
use std::time::{Duration, Instant};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// Loads the default profile in a child, makes the call there and answers its errno, 0 for none.
fn errno_under_filter(call: impl Fn() -> i64) -> Result<i32, Box<dyn std::error::Error>> {
    let program = compile(&Profile::parse(include_str!("default-x64.json"))?)?;
    let bytes = program.bytes();
    // SAFETY: the child only makes system calls and ends by _exit; what it needs is made before.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: prctl(2) with plain numbers.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        if podwright_sys::seccomp::load(&bytes, program.flags).is_err() {
            // SAFETY: ends the child.
            unsafe { libc::_exit(255) };
        }
        let result = call();
        let errno = if result < 0 {
            std::io::Error::last_os_error().raw_os_error().filter(|e| *e != 0).unwrap_or(254)
        } else {
            0
        };
        // SAFETY: ends the child.
        unsafe { libc::_exit(errno) };
    }
    assert!(pid > 0, "fork failed");
    let mut status = 0;
    // SAFETY: status is a live integer, pid our child.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert!(libc::WIFEXITED(status), "the child was killed: status {status:#x}");
    Ok(libc::WEXITSTATUS(status))
}

fn call(number: i64, args: [i64; 3]) -> impl Fn() -> i64 {
    // SAFETY: the calls tested take plain numbers, or null where the filter must refuse them first.
    move || unsafe { libc::syscall(number, args[0], args[1], args[2]) }
}

#[test]
fn the_default_profile_lets_through_what_containers_do() -> Tested {
    assert_eq!(errno_under_filter(call(libc::SYS_getpid, [0; 3]))?, 0);
    assert_eq!(errno_under_filter(call(libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0]))?, 0);
    assert_eq!(errno_under_filter(call(libc::SYS_personality, [0xffff_ffff, 0, 0]))?, 0);
    // A thread's flags; the child made shares nothing and ends at once.
    let fork = || {
        // SAFETY: clone like fork; the grandchild only ends.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        if pid == 0 {
            // SAFETY: ends the grandchild.
            unsafe { libc::_exit(0) };
        }
        pid
    };
    assert_eq!(errno_under_filter(fork)?, 0);
    Ok(())
}

#[test]
fn the_default_profile_stops_what_reaches_the_host() -> Tested {
    assert_eq!(errno_under_filter(call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0]))?, libc::EPERM);
    assert_eq!(
        errno_under_filter(call(libc::SYS_clone, [i64::from(libc::CLONE_NEWNET | libc::SIGCHLD), 0, 0]))?,
        libc::EPERM
    );
    assert_eq!(errno_under_filter(call(libc::SYS_mount, [0; 3]))?, libc::EPERM);
    assert_eq!(errno_under_filter(call(libc::SYS_keyctl, [0; 3]))?, libc::EPERM);
    assert_eq!(
        errno_under_filter(call(libc::SYS_socket, [libc::AF_VSOCK.into(), libc::SOCK_STREAM.into(), 0]))?,
        libc::EPERM
    );
    assert_eq!(
        errno_under_filter(call(libc::SYS_socket, [libc::AF_ALG.into(), libc::SOCK_SEQPACKET.into(), 0]))?,
        libc::EPERM
    );
    Ok(())
}

#[test]
fn calls_a_libc_has_another_way_for_are_unknown() -> Tested {
    assert_eq!(errno_under_filter(call(libc::SYS_clone3, [0; 3]))?, libc::ENOSYS);
    assert_eq!(errno_under_filter(call(900, [0; 3]))?, libc::ENOSYS);
    Ok(())
}

/// i386's numbers: 20 is getpid, 21 is mount.
#[test]
fn calls_of_i386_are_filtered_by_their_own_numbers() -> Tested {
    let i386 = |number: i64| {
        move || {
            let mut result = number;
            // SAFETY: int 0x80 makes an i386 call; it takes its arguments from the registers given
            // and changes only the result (and r8 to r11, which are clobbered).
            unsafe {
                std::arch::asm!("push rbx", "xor ebx, ebx", "int 0x80", "pop rbx", inout("rax") result,
                    in("rcx") 0_i64, in("rdx") 0_i64, in("rsi") 0_i64, in("rdi") 0_i64,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _);
            }
            result
        }
    };
    // The raw result is -errno and the libc's errno stays 0: a wrong one is exit code 254.
    let refused = |number| {
        let call = i386(number);
        move || if call() as i32 == -libc::EPERM { 0 } else { -1 }
    };
    assert_eq!(errno_under_filter(refused(21))?, 0);
    let works = i386(20);
    assert_eq!(errno_under_filter(move || if works() as i32 > 0 { 0 } else { -1 })?, 0);
    Ok(())
}

#[test]
fn loading_is_short() -> Tested {
    let program = compile(&Profile::parse(include_str!("default-x64.json"))?)?;
    let bytes = program.bytes();
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: prctl(2) with plain numbers.
                unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
                let _loaded = podwright_sys::seccomp::load(&bytes, program.flags);
            });
        });
        best = best.min(begin.elapsed());
    }
    println!("{} instructions, loaded in {best:?} (with a thread's start)", program.insns.len());
    assert!(program.insns.len() < 400, "{}", program.insns.len());
    Ok(())
}
