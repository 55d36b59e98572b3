//! Layers, snapshots and removal (`// ---- rootfs.rs` in boundary.ts).

use crate::error::Outcome;
use crate::long_work::on_thread;
use neon::prelude::*;
use neon::types::extract::Json;
use podwright_rootfs as rootfs;
use podwright_sys::errno::SysError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Dir {
    dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OnePath {
    path: PathBuf,
}

#[derive(Serialize)]
struct TreeUsage {
    bytes: u64,
    inodes: u64,
}

/// Bytes and inodes of a directory tree, behind everybody else's work.
#[neon::export]
fn layer_usage<'cx>(cx: &mut Cx<'cx>, Json(args): Json<Dir>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "usage", move || {
        podwright_sys::priority::set_thread_background()?;
        let usage = rootfs::tree_usage(&args.dir)?;
        Ok::<_, SysError>(TreeUsage { bytes: usage.bytes, inodes: usage.inodes })
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dirs {
    dirs: Vec<PathBuf>,
}

/// The same of many trees, one after the other.
#[neon::export]
fn layer_usages<'cx>(cx: &mut Cx<'cx>, Json(args): Json<Dirs>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "usage", move || {
        podwright_sys::priority::set_thread_background()?;
        let usage = |dir: &PathBuf| rootfs::tree_usage(dir).map(|u| TreeUsage { bytes: u.bytes, inodes: u.inodes });
        Ok::<Vec<Outcome<TreeUsage>>, SysError>(args.dirs.iter().map(|dir| usage(dir).into()).collect())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadThrough {
    layers: Vec<PathBuf>,
    path: String,
    max_bytes: u64,
}

/// A small file as the merged layers have it; null if they do not. Short: on the pool.
#[neon::export(task)]
fn read_through(Json(args): Json<ReadThrough>) -> Json<Outcome<Option<String>>> {
    let read = rootfs::read_through(&args.layers, args.path.as_bytes(), args.max_bytes)
        .map(|data| data.map(|data| String::from_utf8_lossy(&data).into_owned()));
    Json(read.into())
}

#[derive(Serialize)]
struct Snapshot {
    upper: PathBuf,
    work: PathBuf,
}

/// `upper` and `work` of a container's overlay.
#[neon::export(task)]
fn prepare_snapshot(Json(args): Json<Dir>) -> Json<Outcome<Snapshot>> {
    Json(rootfs::make_snapshot(&args.dir).map(|(upper, work)| Snapshot { upper, work }).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InheritDirectories {
    layer_dir: PathBuf,
    below: Vec<PathBuf>,
}

/// Attributes of directories that a layer's tar only implied, from the layers below: how many were set.
#[neon::export]
fn inherit_directories<'cx>(cx: &mut Cx<'cx>, Json(args): Json<InheritDirectories>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "inherit", move || rootfs::inherit_directories(&args.layer_dir, &args.below))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CommitDir {
    from: PathBuf,
    to: PathBuf,
}

#[derive(Serialize)]
struct Committed {
    committed: bool,
}

/// One rename commits a directory; false when another is there already.
#[neon::export]
fn commit_dir<'cx>(cx: &mut Cx<'cx>, Json(args): Json<CommitDir>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "commit", move || rootfs::commit_dir(&args.from, &args.to).map(|committed| Committed { committed }))
}

/// syncfs(2).
#[neon::export]
fn sync_fs<'cx>(cx: &mut Cx<'cx>, Json(args): Json<OnePath>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "sync", move || rootfs::sync_fs(&args.path))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemoveTree {
    path: PathBuf,
    trash_dir: PathBuf,
}

#[derive(Serialize)]
struct Removed {
    removed: bool,
}

/// Renames a tree away now and frees it later.
#[neon::export(task)]
fn remove_tree(Json(args): Json<RemoveTree>) -> Json<Outcome<Removed>> {
    let retired = rootfs::retire(&args.path, &args.trash_dir).map(|retired| {
        let removed = retired.is_some();
        if let Some(path) = retired {
            rootfs::free_later(path);
        }
        Removed { removed }
    });
    Json(retired.into())
}

/// Renames a tree away; whoever empties the trash frees it.
#[neon::export(task)]
fn retire_tree(Json(args): Json<RemoveTree>) -> Json<Outcome<Removed>> {
    Json(rootfs::retire(&args.path, &args.trash_dir).map(|retired| Removed { removed: retired.is_some() }).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SweepTrash {
    trash_dir: PathBuf,
}

#[derive(Serialize)]
struct Swept {
    removed: u64,
}

/// Frees all that is in the trash.
#[neon::export]
fn sweep_trash<'cx>(cx: &mut Cx<'cx>, Json(args): Json<SweepTrash>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "sweep", move || {
        podwright_sys::priority::set_thread_background()?;
        rootfs::sweep(&args.trash_dir).map(|removed| Swept { removed })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WriteFileAtomic {
    path: PathBuf,
    data: String,
    mode: u32,
    sync: bool,
}

/// A file whole or not at all.
#[neon::export]
fn write_file_atomic<'cx>(cx: &mut Cx<'cx>, Json(args): Json<WriteFileAtomic>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "write", move || rootfs::write_file_atomic(&args.path, args.data.as_bytes(), args.mode, args.sync))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FsInfo {
    mountpoint: String,
    total_bytes: u64,
    available_bytes: u64,
    total_inodes: u64,
    free_inodes: u64,
    fs_id: String,
}

/// Size and room of the file system under a path.
#[neon::export(task)]
fn fs_info(Json(args): Json<OnePath>) -> Json<Outcome<FsInfo>> {
    let info = rootfs::fs_info(&args.path).map(|info| FsInfo {
        mountpoint: info.mountpoint,
        total_bytes: info.total_bytes,
        available_bytes: info.available_bytes,
        total_inodes: info.total_inodes,
        free_inodes: info.free_inodes,
        fs_id: info.fs_id,
    });
    Json(info.into())
}
