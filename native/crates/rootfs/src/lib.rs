//! Directory trees of images and containers: layers unpacked from tar, files read through a stack of
//! them, their use of the disk, their removal.
//! Must not decide anything (limits, places, what is kept), mount, or speak to a network.

pub mod apply_layer;
pub mod archive;
mod background;
mod durable;
pub mod error;
mod fs_info;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzzed;
mod implied;
pub mod limits;
mod metadata;
mod overlay;
mod quota;
mod read_through;
mod remove;
mod stack;
pub mod tar;
mod tar_index;
mod trash;
mod tree;
mod usage;
mod walk;

pub use apply_layer::{AppliedLayer, apply_layer, apply_layer_indexed};
pub use background::free_later;
pub use durable::{commit_dir, make_snapshot, spread_directories, sync_dir, sync_fs, write_file_atomic};
pub use error::{UnpackError, printable};
pub use fs_info::{FsInfo, fs_info};
pub use implied::{implied_usage, inherit_directories, write_implied};
pub use limits::Limits;
pub use quota::{ProjectRange, QuotaSupport, forget_projects, make_project, project_usage, quota_support};
pub use read_through::{MAX_READ_BYTES, read_through};
pub use tar_index::{IndexWriter, RebuildError, rebuild_tar};
pub use trash::{remove_now, retire, sweep};
pub use usage::{TreeUsage, tree_usage};
pub use walk::{Visitor, walk};
