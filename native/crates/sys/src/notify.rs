//! What a service tells its manager: datagrams to the socket of sd_notify(3).

use crate::errno::{SysError, SysResult};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A manager that reads nothing for so long is told nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends one message, lines of `NAME=value`. `socket` is a path, or a name in the abstract namespace behind `@`.
pub fn notify(socket: &str, message: &str) -> SysResult<()> {
    let failed = |call| move |e: std::io::Error| SysError::from_io("tell the service manager", call, &e, socket);
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
    .map_err(|_| SysError::new("tell the service manager", "sendto", libc::EINVAL, socket))?;
    let from = UnixDatagram::unbound().map_err(failed("socket"))?;
    from.set_write_timeout(Some(PATIENCE)).map_err(failed("setsockopt"))?;
    from.send_to_addr(message.as_bytes(), &address).map_err(failed("sendto"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(address: &SocketAddr, name: &str) -> String {
        let manager = UnixDatagram::bind_addr(address).expect("bind");
        manager.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
        notify(name, "READY=1\nSTATUS=well").expect("sent");
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).expect("received");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name_are_reached() {
        let path = std::env::temp_dir().join(format!("podwright-notify-{}", std::process::id()));
        let by_path = SocketAddr::from_pathname(&path).expect("address");
        let name = path.to_str().expect("text");
        assert_eq!(received(&by_path, name), "READY=1\nSTATUS=well");
        std::fs::remove_file(&path).expect("removed");
        let by_name = SocketAddr::from_abstract_name(name).expect("address");
        assert_eq!(received(&by_name, &format!("@{name}")), "READY=1\nSTATUS=well");
    }

    #[test]
    fn nobody_there_is_an_error_that_names_the_socket() {
        let error = notify("/nonexistent/notify", "READY=1").expect_err("nobody");
        assert_eq!((error.errno, error.object.as_str()), (libc::ENOENT, "/nonexistent/notify"));
        assert_eq!(notify("", "READY=1").map_err(|e| e.errno).err().map(|e| e > 0), Some(true));
    }
}
