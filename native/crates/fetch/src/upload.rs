//! One request that carries a blob, or a part of one, from a file to a registry (distribution spec, "Pushing blobs").
//! What comes back is the caller's to read: which request follows, and where to, is not decided here.

use crate::agent::{agent, cause_of};
use crate::blob::{disk, host_of};
use crate::cause::{Cause, FetchError};
use crate::digest::{Digest, Hasher};
use crate::job::{Job, Stage};
use crate::reach::{Bounds, Reach};
use crate::redirect::text;
use crate::request::{Header, SendBlob, Source};
use crate::url::Url;
use podwright_sys::errno::SysError;
use rustix::fs::{self, FileType, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use ureq::http::{Request, Response, StatusCode};
use ureq::{Agent, Body, SendBody};

/// So much is read of an answer: it is an error's text, or nothing.
const LONGEST_ANSWER: u64 = 4096;
/// From here on the server is asked first whether it wants the bytes (RFC 9110, 10.1.1).
const ASK_FROM: u64 = 1 << 20;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentBlob {
    /// The status, of any kind.
    pub status: u16,
    /// `Location` as it was sent.
    pub location: Option<String>,
    /// `Range` as it was sent: what of an upload has arrived.
    pub range: Option<String>,
    /// `Retry-After` as it was sent.
    pub retry_after: Option<String>,
    /// How far this server may lead.
    pub leads: Reach,
    /// The beginning of the answer.
    pub body: Vec<u8>,
}

/// Sends bytes of a file and reads the answer. A whole file is held against its digest while it is sent, and cut off
/// before its last bytes if it is another.
///
/// # Errors
/// No answer; a file that is not what it should be; a cancel. An answer that refuses is no error.
pub fn send_blob(request: &SendBlob, job: &Job) -> Result<SentBlob, FetchError> {
    send(request, job).map_err(|cause| FetchError {
        operation: "push blob",
        object: request.file.digest.clone(),
        from: host_of(&request.url),
        cause: Box::new(cause),
    })
}

fn send(request: &SendBlob, job: &Job) -> Result<SentBlob, Cause> {
    let source = request.source();
    let url = Url::parse(&source.url)?;
    if !url.https && !source.allow_http {
        return Err(Cause::Tls(format!("{} would be sent to over plain http", url.authority)));
    }
    let bounds = Arc::new(Bounds::new(source.proxy.is_some()));
    bounds.admit(&url.authority, request.reach).map_err(|e| Cause::Protocol(e.to_string()))?;
    let agent = agent(&source, true, &bounds)?;
    job.use_agent(&agent)?;
    job.stage(Stage::Connecting);
    let to = To { source: &source, url: &url, agent: &agent };
    let mut asks = request.end.saturating_sub(request.begin) >= ASK_FROM;
    loop {
        let answer = exchange(request, &to, asks, job)?;
        // Some proxy cannot be asked so, and is to be sent the same without (RFC 9110, 10.1.1).
        if asks && answer.status() == StatusCode::EXPECTATION_FAILED {
            asks = false;
            continue;
        }
        return Ok(read(answer, bounds.led_by(&url.authority)));
    }
}

struct To<'a> {
    source: &'a Source,
    url: &'a Url,
    agent: &'a Agent,
}

/// Sends the part from its beginning, and whether the bytes are wanted may be asked first.
fn exchange(request: &SendBlob, to: &To<'_>, asks: bool, job: &Job) -> Result<Response<Body>, Cause> {
    let mut part = Part::open(request, job)?;
    let mut head = Request::builder()
        .method(request.method.name())
        .uri(to.url.to_request())
        .header("content-type", "application/octet-stream")
        .header("content-length", part.left.to_string());
    for Header(name, value) in &to.source.headers {
        head = head.header(name, value);
    }
    if asks {
        head = head.header("expect", "100-continue");
    }
    let body = SendBody::from_reader(&mut part);
    let whole = head.body(body).map_err(|_| Cause::Request("the url or a header is malformed"))?;
    let answer = to.agent.run(whole).map_err(cause_of);
    // What the file failed of explains what its sender says, and a cancel what the connection does.
    if let Some(cause) = part.failed.take() {
        return Err(cause);
    }
    job.check()?;
    answer
}

fn read(answer: Response<Body>, leads: Reach) -> SentBlob {
    let status = answer.status().as_u16();
    let header = |name| text(answer.headers(), name).map(str::to_owned);
    let (location, range, retry_after) = (header("location"), header("range"), header("retry-after"));
    let mut body = Vec::new();
    // It only explains: one that breaks off is as good as a short one.
    let _ = answer.into_body().into_reader().take(LONGEST_ANSWER).read_to_end(&mut body);
    SentBlob { status, location, range, retry_after, leads, body }
}

/// The bytes to send.
struct Part<'a> {
    file: File,
    left: u64,
    sent: u64,
    /// Of a whole file, until its last bytes.
    whole: Option<(Hasher, Digest)>,
    failed: Option<Cause>,
    job: &'a Job,
}

impl<'a> Part<'a> {
    fn open(request: &SendBlob, job: &'a Job) -> Result<Self, Cause> {
        let digest = Digest::parse(&request.file.digest)?;
        let (begin, end, size) = (request.begin, request.end, request.file.size);
        if begin > end || end > size {
            return Err(Cause::Request("the part is not one of the file"));
        }
        let path = &request.file.path;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty()).map_err(|e| disk("read blob", "open", e, path))?;
        let stat = fs::fstat(&fd).map_err(|e| disk("read blob", "fstat", e, path))?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || length != size {
            return Err(size_mismatch(length, size));
        }
        let mut file = File::from(fd);
        file.seek(SeekFrom::Start(begin)).map_err(|e| read_failure(&e, request))?;
        let whole = (begin == 0 && end == size).then(|| (digest.hasher(), digest));
        Ok(Self { file, left: end - begin, sent: begin, whole, failed: None, job })
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Cause> {
        self.job.check()?;
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        self.job.stage(Stage::Uploading);
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self
            .file
            .read(&mut buffer[..room])
            .map_err(|e| Cause::Disk(SysError::from_io("read blob", "read", &e, "")))?;
        if count == 0 {
            return Err(size_mismatch(self.sent, self.sent + self.left));
        }
        self.left -= count as u64;
        self.sent += count as u64;
        if let Some((hasher, _)) = &mut self.whole {
            hasher.update(&buffer[..count]);
        }
        if self.left == 0
            && let Some((hasher, digest)) = self.whole.take()
        {
            let got = hasher.finish();
            if got != digest {
                return Err(Cause::Mismatch { what: "digest", got: got.to_string(), expected: digest.to_string() });
            }
        }
        self.job.got(self.sent);
        Ok(count)
    }
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(|cause| {
            self.failed = Some(cause);
            io::Error::other("the blob cannot be read")
        })
    }
}

fn size_mismatch(got: u64, expected: u64) -> Cause {
    Cause::Mismatch { what: "size", got: got.to_string(), expected: expected.to_string() }
}

fn read_failure(error: &io::Error, request: &SendBlob) -> Cause {
    Cause::Disk(SysError::from_io("read blob", "lseek", error, request.file.path.to_string_lossy()))
}
