//! The addresses of this machine's interfaces (getifaddrs(3)), which rustix lacks.

use crate::errno::SysError;
use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A list of getifaddrs(3), freed when dropped.
struct List(*mut libc::ifaddrs);

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a getifaddrs that succeeded, and is freed once.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

/// Has the addresses of all Services where kube-proxy works by IPVS: what listens there is elsewhere, mostly.
const OF_SERVICES: &[u8] = b"kube-ipvs0";

/// Whether the addresses of an interface, or of its alias (`eth0:1`), lead to this machine.
fn leads_here(interface: &[u8]) -> bool {
    interface.split(|&byte| byte == b':').next() != Some(OF_SERVICES)
}

/// The IPv4 and IPv6 addresses of the interfaces in the caller's network namespace, as they are now; without those that
/// kube-proxy gives Services.
///
/// # Errors
/// What the kernel says.
pub fn own_addresses() -> Result<Vec<IpAddr>, SysError> {
    let mut head = std::ptr::null_mut();
    // SAFETY: `head` is a place for one pointer.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return Err(SysError::from_io("list addresses", "getifaddrs", &io::Error::last_os_error(), ""));
    }
    let list = List(head);
    let mut found = Vec::new();
    let mut at = list.0;
    while !at.is_null() {
        // SAFETY: the entries of the list are valid until it is freed, which `list` does after this loop.
        let entry = unsafe { &*at };
        // SAFETY: every entry has a name that ends with NUL, valid as long as the entry.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) };
        if leads_here(name.to_bytes()) {
            found.extend(address_of(entry.ifa_addr));
        }
        at = entry.ifa_next;
    }
    Ok(found)
}

/// The address behind a pointer of getifaddrs(3); none for null and for other families.
fn address_of(at: *const libc::sockaddr) -> Option<IpAddr> {
    if at.is_null() {
        return None;
    }
    // SAFETY: not null, and every socket address begins with its family.
    match i32::from(unsafe { (*at).sa_family }) {
        libc::AF_INET => {
            // SAFETY: of this family the address is a sockaddr_in; it may be aligned for less.
            let v4 = unsafe { std::ptr::read_unaligned(at.cast::<libc::sockaddr_in>()) };
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: of this family the address is a sockaddr_in6; it may be aligned for less.
            let v6 = unsafe { std::ptr::read_unaligned(at.cast::<libc::sockaddr_in6>()) };
            Some(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_ours() {
        let own = own_addresses().expect("list");
        assert!(own.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{own:?}");
    }

    #[test]
    fn addresses_of_services_are_not_ours() {
        let ours = ["lo", "eth0", "eth0:1", "kube-ipvs", "kube-ipvs00", "kube-ipvs0", "kube-ipvs0:1"]
            .map(|name| leads_here(name.as_bytes()));
        assert_eq!(ours, [true, true, true, true, true, false, false]);
    }
}
