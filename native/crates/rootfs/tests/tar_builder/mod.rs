//! Crafts tars for tests, well formed or evil. Must not reuse the reader's code: two independent readings of tar(5).
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

/// A tar in the making.
#[derive(Clone, Default)]
pub struct TarBuilder {
    pub bytes: Vec<u8>,
}

/// A header's fields with usual values.
#[derive(Clone)]
pub struct Head<'a> {
    pub path: &'a [u8],
    pub link: &'a [u8],
    pub kind: u8,
    pub mode: u32,
    pub owner: (u32, u32),
    pub size: u64,
    pub mtime: u64,
    pub device: (u32, u32),
}

impl<'a> Head<'a> {
    pub fn new(kind: u8, path: &'a str) -> Self {
        Self {
            path: path.as_bytes(),
            link: b"",
            kind,
            mode: 0o644,
            owner: (0, 0),
            size: 0,
            mtime: 1_600_000_000,
            device: (0, 0),
        }
    }

    pub fn block(&self) -> [u8; 512] {
        let mut b = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.path[..self.path.len().min(100)]);
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, format!("{:07o}\0", self.owner.0).as_bytes());
        put(116, format!("{:07o}\0", self.owner.1).as_bytes());
        put(124, format!("{:011o}\0", self.size & 0o77777777777).as_bytes());
        put(136, format!("{:011o}\0", self.mtime).as_bytes());
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, format!("{:07o}\0", self.device.1).as_bytes());
        sum(&mut b);
        b
    }
}

/// Writes a block's checksum.
pub fn sum(block: &mut [u8; 512]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|&x| u32::from(x)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

impl TarBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn data(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub fn head(self, head: &Head<'_>) -> Self {
        self.raw(&head.block())
    }

    pub fn file(self, path: &str, data: &[u8]) -> Self {
        self.file_mode(path, data, 0o644)
    }

    pub fn file_mode(self, path: &str, data: &[u8], mode: u32) -> Self {
        self.head(&Head { size: data.len() as u64, mode, ..Head::new(b'0', path) }).data(data)
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.head(&Head { mode, ..Head::new(b'5', path) })
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.head(&Head { link: target.as_bytes(), mode: 0o777, ..Head::new(b'2', path) })
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.head(&Head { link: target.as_bytes(), ..Head::new(b'1', path) })
    }

    pub fn node(self, kind: u8, path: &str, device: (u32, u32), mode: u32) -> Self {
        self.head(&Head { device, mode, ..Head::new(kind, path) })
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
            let mut length = body.len() + 1;
            while length != body.len() + length.to_string().len() {
                length = body.len() + length.to_string().len();
            }
            data.extend_from_slice(length.to_string().as_bytes());
            data.extend_from_slice(&body);
        }
        self.head(&Head { size: data.len() as u64, ..Head::new(b'x', "PaxHeaders/x") }).data(&data)
    }

    /// A GNU long name (`L`) or long link (`K`) ahead of the next header.
    pub fn gnu_long(self, kind: u8, name: &str) -> Self {
        let data = [name.as_bytes(), b"\0"].concat();
        self.head(&Head { size: data.len() as u64, ..Head::new(kind, "././@LongLink") }).data(&data)
    }

    pub fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).bytes
    }
}
