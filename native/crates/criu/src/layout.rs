//! Names in a checkpoint, those that CRI-O, containerd and podman use and checkpointctl reads. PURE.

/// criu's images.
pub const IMAGES: &str = "checkpoint";
/// What the container has written, as a layer.
pub const DIFF: &str = "rootfs-diff.tar";
/// Names of the image that the container has removed, a JSON list.
pub const DELETED: &str = "deleted.files";
/// The container's OCI spec.
pub const SPEC: &str = "spec.dump";
/// criu's log.
pub const LOG: &str = "dump.log";
/// criu's figures.
pub const STATS: &str = "stats-dump";
/// Mounts that were not captured, and the names they have in the images: ours.
pub const MOUNTS: &str = "external.mounts";
/// What the standard streams were: a JSON list of three, as runc writes it beside its images.
pub const STREAMS: &str = "descriptors.json";
/// The pod's /dev/shm.
pub const SHM: &str = "devshm-checkpoint.tar";
/// What a whole pod's checkpoint is, written last: ours.
pub const MANIFEST: &str = "pod.json";
/// criu's log of a restore.
pub const RESTORE_LOG: &str = "restore.log";
