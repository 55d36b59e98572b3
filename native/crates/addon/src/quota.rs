//! Project quota of writable layers (`// ---- quota.rs` in boundary.ts).

use crate::error::Outcome;
use neon::types::extract::Json;
use podwright_rootfs as rootfs;
use podwright_rootfs::ProjectRange;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OneDir {
    dir: PathBuf,
}

#[derive(Serialize)]
struct Support {
    counted: bool,
    enforced: bool,
    missing: String,
}

/// What the file system of a directory has of project quota.
#[neon::export(task)]
fn quota_support(Json(args): Json<OneDir>) -> Json<Outcome<Support>> {
    let support = rootfs::quota_support(&args.dir).map(|found| Support {
        counted: found.counted,
        enforced: found.enforced,
        missing: found.missing,
    });
    Json(support.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Assign {
    dir: PathBuf,
    first_project: u32,
    projects: u32,
    limit_bytes: Option<u64>,
}

/// Makes a directory in a project of its own.
#[neon::export(task)]
fn quota_assign(Json(args): Json<Assign>) -> Json<Outcome<u32>> {
    let range = ProjectRange { first: args.first_project, count: args.projects };
    Json(rootfs::make_project(&args.dir, range, args.limit_bytes).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InRange {
    dir: PathBuf,
    first_project: u32,
    projects: u32,
}

impl InRange {
    fn range(&self) -> ProjectRange {
        ProjectRange { first: self.first_project, count: self.projects }
    }
}

#[derive(Serialize)]
struct Usage {
    bytes: u64,
    inodes: u64,
}

/// What a directory's project uses; null if it has none of the range.
#[neon::export(task)]
fn quota_usage(Json(args): Json<InRange>) -> Json<Outcome<Option<Usage>>> {
    let used = rootfs::project_usage(&args.dir, args.range())
        .map(|found| found.map(|one| Usage { bytes: one.bytes, inodes: one.inodes }));
    Json(used.into())
}

/// Forgets the limits of projects that are not used any more: how many.
#[neon::export(task)]
fn quota_forget(Json(args): Json<InRange>) -> Json<Outcome<u32>> {
    Json(rootfs::forget_projects(&args.dir, args.range()).into())
}
