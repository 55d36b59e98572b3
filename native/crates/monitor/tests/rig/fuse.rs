//! A FUSE file system of one directory, as slow as a test wants it: it makes files and hangs at
//! the first write, or hangs at once; or it keeps one file in memory, as much as there is room for.

use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Mounted; when dropped, whoever hangs in it gets an error.
pub struct Fuse {
    pub dir: PathBuf,
    server: Option<Arc<OwnedFd>>,
    stop: Arc<AtomicBool>,
    kept: Arc<Kept>,
}

/// The one file that is kept, and how long it may become.
#[derive(Default)]
struct Kept {
    bytes: Mutex<Vec<u8>>,
    room: AtomicUsize,
}

impl Kept {
    /// Writes what there is room for; nothing of it: ENOSPC.
    fn write(&self, offset: usize, bytes: &[u8]) -> (i32, Vec<u8>) {
        let count = bytes.len().min(self.room.load(Ordering::Relaxed).saturating_sub(offset));
        if count == 0 {
            return (-28, Vec::new());
        }
        let mut file = self.bytes.lock().unwrap();
        let length = file.len().max(offset + count);
        file.resize(length, 0);
        file[offset..offset + count].copy_from_slice(&bytes[..count]);
        (0, (count as u64).to_ne_bytes().to_vec())
    }

    fn size(&self) -> usize {
        self.bytes.lock().unwrap().len()
    }
}

impl Fuse {
    /// Never answers anything.
    pub fn silent(dir: PathBuf) -> Self {
        Self::mount(dir)
    }

    /// Answers until something is written.
    pub fn until_write(dir: PathBuf) -> Self {
        let fuse = Self::mount(dir);
        fuse.serve(None);
        fuse
    }

    /// Keeps what is written, up to so many bytes.
    pub fn with_room(dir: PathBuf, room: usize) -> Self {
        let fuse = Self::mount(dir);
        fuse.set_room(room);
        fuse.serve(Some(Arc::clone(&fuse.kept)));
        fuse
    }

    /// How much may be kept from now on.
    pub fn set_room(&self, room: usize) {
        self.kept.room.store(room, Ordering::Relaxed);
    }

    /// What was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.kept.bytes.lock().unwrap().clone()).unwrap()
    }

    fn serve(&self, kept: Option<Arc<Kept>>) {
        let (server, stop) = (Arc::clone(self.server.as_ref().unwrap()), Arc::clone(&self.stop));
        std::thread::spawn(move || serve(&server, &stop, kept.as_deref()));
    }

    fn mount(dir: PathBuf) -> Self {
        std::fs::create_dir(&dir).unwrap();
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let server = rustix::fs::open("/dev/fuse", flags, Mode::empty()).unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        rustix::mount::mount("slow", &dir, "fuse", rustix::mount::MountFlags::empty(), options.as_c_str()).unwrap();
        Self { dir, server: Some(Arc::new(server)), stop: Arc::new(AtomicBool::new(false)), kept: Arc::default() }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.server.take();
        rustix::mount::unmount(&self.dir, rustix::mount::UnmountFlags::DETACH | rustix::mount::UnmountFlags::FORCE)
            .unwrap();
    }
}

const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const CREATE: u32 = 35;

fn serve(server: &OwnedFd, stop: &AtomicBool, kept: Option<&Kept>) {
    let mut buffer = vec![0; 1 << 20];
    while !stop.load(Ordering::Relaxed) {
        let Ok(count) = rustix::io::read(server, &mut buffer) else {
            std::thread::sleep(std::time::Duration::from_millis(2));
            continue;
        };
        let word = |at: usize| u32::from_ne_bytes(buffer[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_ne_bytes(buffer[at..at + 8].try_into().unwrap());
        assert!(count >= 40);
        let (unique, node) = (long(8), long(16));
        let (error, body) = match word(4) {
            INIT => (0, init()),
            LOOKUP => (-2, Vec::new()),
            GETATTR => (0, [vec![0; 16], attributes(node, kept)].concat()),
            STATFS => (0, vec![0; 80]),
            CREATE => (0, [entry(), vec![0; 16]].concat()),
            // its size is all that is set
            SETATTR if kept.is_some_and(|file| file.size() >= long(56) as usize) => {
                kept.unwrap().bytes.lock().unwrap().truncate(long(56) as usize);
                (0, [vec![0; 16], attributes(node, kept)].concat())
            }
            WRITE if kept.is_some() => kept.unwrap().write(long(48) as usize, &buffer[80..count]),
            WRITE => {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                return;
            }
            _ => (-38, Vec::new()),
        };
        let mut reply = (16 + body.len() as u32).to_ne_bytes().to_vec();
        reply.extend(i32::to_ne_bytes(error));
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        let _ = rustix::io::write(server, &reply);
    }
}

fn init() -> Vec<u8> {
    let mut out = vec![0; 64];
    out[0..4].copy_from_slice(&7_u32.to_ne_bytes());
    out[4..8].copy_from_slice(&31_u32.to_ne_bytes());
    out[20..24].copy_from_slice(&65536_u32.to_ne_bytes());
    out
}

fn attributes(node: u64, kept: Option<&Kept>) -> Vec<u8> {
    let mut out = vec![0; 88];
    let size = kept.filter(|_| node != 1).map_or(0, Kept::size) as u64;
    out[8..16].copy_from_slice(&size.to_ne_bytes());
    out[0..8].copy_from_slice(&node.to_ne_bytes());
    let mode: u32 = if node == 1 { 0o040_755 } else { 0o100_640 };
    out[60..64].copy_from_slice(&mode.to_ne_bytes());
    out[64..68].copy_from_slice(&1_u32.to_ne_bytes());
    out
}

fn entry() -> Vec<u8> {
    let mut out = vec![0; 40];
    out[0..8].copy_from_slice(&2_u64.to_ne_bytes());
    [out, attributes(2, None)].concat()
}
