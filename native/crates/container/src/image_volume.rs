//! Image volumes: an image's layers stacked read-only, or what is at a path in it, as the source of a
//! mount. The host's mount table never sees them (ruling 3).

use crate::error::{Kind, StepError, StepResult, failed};
use crate::options::MountOptions;
use crate::paths;
use crate::request::Overlay;
use crate::root;
use crate::shelf::Shelf;
use crate::sources::{Detached, clone_tree};
use crate::spec::Mount;
use crate::users::Users;
use rustix::mount::{UnmountFlags, unmount};
use std::os::fd::AsFd;

/// The spec's mount type of an image volume.
pub const TYPE: &str = "podwright-image";

/// An image to stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageStep {
    /// Its number, for [`crate::steps::MountSource::Taken`].
    pub index: usize,
    /// Where it will be in the container, for messages.
    pub target: String,
    /// Layers, topmost first, at least two.
    pub lower: Vec<String>,
    /// What of it is mounted, resolved inside the image; empty: all.
    pub sub_path: String,
    /// A directory to stack on for a moment.
    pub at: String,
    /// SELinux context of all that is in it; empty: what the layers have.
    pub label: String,
}

/// Reads an image volume's mount, and takes from `options` what is not for mounting. PURE.
///
/// # Errors
/// The layers are missing, or an option is unknown.
pub fn plan(mount: &Mount, options: &mut MountOptions, index: usize, at: &str) -> StepResult<ImageStep> {
    let target = mount.destination.clone();
    let mut step =
        ImageStep { index, target, lower: Vec::new(), sub_path: String::new(), at: at.into(), label: String::new() };
    for option in std::mem::take(&mut options.data) {
        match option.split_once('=') {
            Some(("lower", directory)) => step.lower.push(directory.into()),
            Some(("subpath", path)) => step.sub_path = path.into(),
            _ => return Err(StepError::invalid("mount", &mount.destination, &format!("unknown option {option:?}"))),
        }
    }
    if step.lower.len() < 2 {
        return Err(StepError::invalid("mount", &mount.destination, "it has less than two layers"));
    }
    Ok(step)
}

/// Stacks the layers and takes what is asked for of them. To be called in the container's own mount
/// namespace, before its root is mounted.
///
/// # Errors
/// The failing call; the sub path is not there. All of kind [`Kind::ImageVolume`].
pub fn stack(step: &ImageStep) -> StepResult<Detached> {
    let overlay = overlay_of(step);
    let taken = root::mount_overlay(&overlay, &step.at).and_then(|()| {
        let taken = take(step, &step.at);
        unmount(step.at.as_str(), UnmountFlags::DETACH).map_err(failed("take the image", "umount2", &step.at))?;
        taken
    });
    taken.map_err(|error| of_volume(step, error))
}

/// The same with files shown by the ids of a user namespace; to be called before that is entered.
///
/// # Errors
/// As [`stack`]; a layer on a file system without idmapped mounts.
pub(crate) fn stack_mapped(step: &ImageStep, shelf: &mut Shelf, users: &Users<'_>) -> StepResult<Detached> {
    let overlay = overlay_of(step);
    shelf.stack(&overlay, users, |at| take(step, at)).map_err(|error| of_volume(step, error))
}

fn overlay_of(step: &ImageStep) -> Overlay {
    Overlay { lower: step.lower.clone(), label: step.label.clone(), ..Overlay::default() }
}

fn of_volume(step: &ImageStep, error: StepError) -> StepError {
    let detail = format!("mount image volume {}: {}", step.target, error.detail);
    StepError { kind: Kind::ImageVolume, detail, ..error }
}

/// Before Linux 6.15 only what is mounted can be copied: hence the moment at `at`.
fn take(step: &ImageStep, at: &str) -> StepResult<Detached> {
    let image = root::open_directory(at)?;
    let from = if step.sub_path.is_empty() {
        image
    } else {
        paths::open(image.as_fd(), &step.sub_path).map_err(failed("open sub path", "openat2", &step.sub_path))?
    };
    let directory = paths::is_directory(&from)?;
    Ok(Detached { mount: clone_tree(from.as_fd(), false, &step.target)?, directory })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn planned(options: &[&str]) -> StepResult<(ImageStep, MountOptions)> {
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let mount = Mount { destination: "/v".into(), kind: TYPE.into(), options: options.clone(), ..Mount::default() };
        let mut parsed = MountOptions::parse(&options);
        plan(&mount, &mut parsed, 3, "/b").map(|step| (step, parsed))
    }

    #[test]
    fn layers_and_sub_path_are_options() {
        let (step, options) = planned(&["ro", "lower=/l/1", "lower=/l/2", "subpath=a/b=c", "noexec"]).unwrap();
        assert_eq!(step.lower, ["/l/1", "/l/2"]);
        assert_eq!((step.index, step.sub_path.as_str(), step.at.as_str()), (3, "a/b=c", "/b"));
        assert_eq!(options, MountOptions::parse(&["ro".into(), "noexec".into()]));
    }

    #[test]
    fn what_is_not_an_image_is_refused() {
        for options in [&["ro", "lower=/l"][..], &["lower=/a", "lower=/b", "size=1"], &["lower=/a", "lower=/b", "x"]] {
            assert_eq!(planned(options).unwrap_err().kind, Kind::Invalid, "{options:?}");
        }
    }
}
