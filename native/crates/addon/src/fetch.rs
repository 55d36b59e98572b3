//! Blobs, layers and archives (`// ---- fetch.rs` in boundary.ts). Each call has threads of its own; its handle is
//! registered before the call returns, so that a cancel right after it finds it.

use crate::error::{NativeFailure, Outcome};
use crate::long_work::on_thread;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use neon::prelude::*;
use neon::types::extract::Json;
use podwright_fetch::request::{EntryAt, ExportBlob, FetchBlob, FetchLayer, SendBlob, UnpackFromArchive, VerifyBlob};
use podwright_fetch::{self as fetch, FetchError, Job};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

impl From<FetchError> for NativeFailure {
    fn from(e: FetchError) -> Self {
        Self {
            operation: e.operation.into(),
            syscall: e.cause.stage().into(),
            errno: e.cause.code(),
            message: e.to_string(),
            object: e.object,
        }
    }
}

/// Registers the handle; refused while another fetch has it.
fn register(operation: &'static str, handle: &str, total: u64) -> Result<Job, FetchError> {
    Job::register(handle, total).map_err(|cause| FetchError {
        operation,
        object: handle.to_owned(),
        from: String::new(),
        cause: Box::new(cause),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UnpackedLayer {
    blob_digest: String,
    blob_bytes: u64,
    diff_id: String,
    unpacked_bytes: u64,
    disk_bytes: u64,
    inodes: u64,
    entries: u64,
}

impl From<fetch::UnpackedLayer> for UnpackedLayer {
    fn from(layer: fetch::UnpackedLayer) -> Self {
        Self {
            blob_digest: layer.blob_digest.to_string(),
            blob_bytes: layer.blob_bytes,
            diff_id: layer.diff_id.to_string(),
            unpacked_bytes: layer.unpacked_bytes,
            disk_bytes: layer.disk_bytes,
            inodes: layer.inodes,
            entries: layer.entries,
        }
    }
}

/// One layer from a registry into a staging directory.
#[neon::export]
fn fetch_layer<'cx>(cx: &mut Cx<'cx>, Json(request): Json<FetchLayer>) -> JsResult<'cx, JsPromise> {
    let job = register("fetch layer", &request.handle, request.expected.size);
    on_thread(cx, "fetch", move || Ok::<_, FetchError>(UnpackedLayer::from(fetch::fetch_layer(&request, &job?)?)))
}

#[derive(Serialize)]
struct FetchedBlob {
    data: Option<String>,
    digest: String,
    bytes: u64,
}

/// One blob, returned or written to a file.
#[neon::export]
fn fetch_blob<'cx>(cx: &mut Cx<'cx>, Json(request): Json<FetchBlob>) -> JsResult<'cx, JsPromise> {
    let job = register("fetch blob", &request.handle, request.expected.size);
    on_thread(cx, "fetch", move || {
        let blob = fetch::fetch_blob(&request, &job?)?;
        let data = blob.data.map(|data| STANDARD.encode(data));
        Ok::<_, FetchError>(FetchedBlob { data, digest: blob.digest.to_string(), bytes: blob.bytes })
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FetchProgress {
    handle: String,
    bytes: u64,
    total_bytes: u64,
    unpacked_bytes: u64,
    stage: &'static str,
}

/// All fetches that run or wait.
#[neon::export]
fn fetch_progress() -> Json<Outcome<Vec<FetchProgress>>> {
    let figures = |p: fetch::Progress| FetchProgress {
        handle: p.handle,
        bytes: p.bytes,
        total_bytes: p.total_bytes,
        unpacked_bytes: p.unpacked_bytes,
        stage: p.stage,
    };
    Json(Outcome::Ok(fetch::progress().into_iter().map(figures).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Cancel {
    handle: String,
}

/// Stops a fetch; false if there is none of that handle.
#[neon::export]
fn fetch_cancel(Json(args): Json<Cancel>) -> Json<Outcome<bool>> {
    Json(Outcome::Ok(fetch::cancel(&args.handle)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IndexArgs {
    path: PathBuf,
    work_dir: PathBuf,
}

#[derive(Serialize)]
struct ArchiveEntry {
    name: String,
    offset: u64,
    size: u64,
}

#[derive(Serialize)]
struct ArchiveIndex {
    path: PathBuf,
    temporary: bool,
    entries: Vec<ArchiveEntry>,
    files: BTreeMap<String, String>,
}

/// What is in an archive.
#[neon::export]
fn archive_index<'cx>(cx: &mut Cx<'cx>, Json(args): Json<IndexArgs>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "archive", move || {
        let index = fetch::archive::index(&args.path, &args.work_dir)?;
        let entry = |e: fetch::archive::ArchiveEntry| ArchiveEntry { name: e.name, offset: e.offset, size: e.size };
        let entries = index.entries.into_iter().map(entry).collect();
        Ok::<_, FetchError>(ArchiveIndex { path: index.path, temporary: index.temporary, entries, files: index.files })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadArgs {
    path: PathBuf,
    entry: EntryAt,
}

#[derive(Serialize)]
struct ReadEntry {
    data: String,
}

/// A small file of an archive.
#[neon::export]
fn archive_read<'cx>(cx: &mut Cx<'cx>, Json(args): Json<ReadArgs>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "archive", move || {
        let data = fetch::archive::read_entry(&args.path, &args.entry)?;
        Ok::<_, FetchError>(ReadEntry { data: STANDARD.encode(data) })
    })
}

/// One layer from an archive into a staging directory.
#[neon::export]
fn unpack_from_archive<'cx>(cx: &mut Cx<'cx>, Json(request): Json<UnpackFromArchive>) -> JsResult<'cx, JsPromise> {
    let job = register("unpack layer", &request.handle, request.entry.size);
    on_thread(cx, "unpack", move || {
        Ok::<_, FetchError>(UnpackedLayer::from(fetch::unpack_from_archive(&request, &job?)?))
    })
}

#[derive(Serialize)]
struct Verified {
    bytes: u64,
}

/// One layer or blob held against its digest.
#[neon::export]
fn verify_blob<'cx>(cx: &mut Cx<'cx>, Json(request): Json<VerifyBlob>) -> JsResult<'cx, JsPromise> {
    let job = register("verify", &request.handle, 0);
    on_thread(cx, "verify", move || Ok::<_, FetchError>(Verified { bytes: fetch::verify_blob(&request, &job?)? }))
}

#[derive(Serialize)]
struct ExportedBlob {
    digest: String,
    bytes: u64,
}

/// One blob of an image into an archive or a directory.
#[neon::export]
fn export_blob<'cx>(cx: &mut Cx<'cx>, Json(request): Json<ExportBlob>) -> JsResult<'cx, JsPromise> {
    let job = register("save", &request.handle, 0);
    on_thread(cx, "export", move || {
        let blob = fetch::export_blob(&request, &job?)?;
        Ok::<_, FetchError>(ExportedBlob { digest: blob.digest.to_string(), bytes: blob.bytes })
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentBlob {
    status: u16,
    location: Option<String>,
    range: Option<String>,
    retry_after: Option<String>,
    leads: &'static str,
    body: String,
}

/// A blob, or a part of one, to a registry.
#[neon::export]
fn send_blob<'cx>(cx: &mut Cx<'cx>, Json(request): Json<SendBlob>) -> JsResult<'cx, JsPromise> {
    let job = register("push blob", &request.handle, request.file.size);
    on_thread(cx, "push", move || {
        let sent = fetch::send_blob(&request, &job?)?;
        Ok::<_, FetchError>(SentBlob {
            status: sent.status,
            location: sent.location,
            range: sent.range,
            retry_after: sent.retry_after,
            leads: if sent.leads == fetch::Reach::Machine { "machine" } else { "network" },
            body: STANDARD.encode(sent.body),
        })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FinishArchive {
    path: PathBuf,
    inode: String,
    to: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeginArchive {
    path: PathBuf,
}

#[derive(Serialize)]
struct Begun {
    inode: String,
}

/// Makes an empty archive.
#[neon::export]
fn begin_archive<'cx>(cx: &mut Cx<'cx>, Json(args): Json<BeginArchive>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "export", move || Ok::<_, FetchError>(Begun { inode: fetch::begin_archive(&args.path)? }))
}

/// Ends an archive and puts it in its place.
#[neon::export]
fn finish_archive<'cx>(cx: &mut Cx<'cx>, Json(args): Json<FinishArchive>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "export", move || {
        Ok::<_, FetchError>(Verified { bytes: fetch::finish_archive(&args.path, &args.inode, &args.to)? })
    })
}
