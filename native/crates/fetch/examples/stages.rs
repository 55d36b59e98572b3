//! What each stage of a pull costs alone, one thread after the other; the sum is what a pull is held against.
//! Standard input has a line for each layer: `URL DIGEST SIZE DIFF_ID MEDIA_TYPE`. The first argument is a directory on
//! the file system to unpack to. Prints `name value` lines: seconds, and MB/s of what the stage works on
//! (compressed bytes for download and the blob's digest, uncompressed ones for the others). `tar index CPU s` is what the
//! index of the tars costs a pull: processor time of unpacking with it less that without.
//!
//! With `pull N` as further arguments it runs the whole pipeline over all layers instead, N at a time.
#![allow(missing_docs, reason = "a program")]

use podwright_fetch::request::{FetchLayer, Source};
use podwright_fetch::{Digest, Job, fetch_layer, measure};
use podwright_rootfs::{Limits, apply_layer, remove_now, sync_fs};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

struct Layer {
    url: String,
    digest: String,
    size: u64,
    diff_id: String,
    media_type: String,
}

const LIMITS: Limits = Limits {
    max_entries: 1 << 24,
    max_bytes: 1 << 40,
    max_ratio: 1 << 20,
    max_depth: 1024,
    max_path_bytes: 4096,
    max_xattr_bytes: 1 << 20,
};

/// Seconds and bytes of a stage.
#[derive(Default)]
struct Cost {
    seconds: f64,
    bytes: u64,
}

impl Cost {
    fn add<T>(&mut self, bytes: u64, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = work();
        self.seconds += begin.elapsed().as_secs_f64();
        self.bytes += bytes;
        done
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let at = arguments.first().ok_or("usage: stages DIRECTORY [pull N] < layers")?;
    let layers = std::io::stdin().lines().map(|line| layer(&line?)).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let place = Path::new(at).join(format!("stages-{}", std::process::id()));
    std::fs::create_dir(&place)?;
    let result = match arguments.get(2) {
        Some(count) => whole(&layers, &place, count.parse()?),
        None => alone(&layers, &place),
    };
    remove_now(&place)?;
    result
}

fn layer(line: &str) -> Result<Layer, Box<dyn Error>> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        [url, digest, size, diff_id, media_type] => Ok(Layer {
            url: url.to_owned(),
            digest: digest.to_owned(),
            size: size.parse()?,
            diff_id: diff_id.to_owned(),
            media_type: media_type.to_owned(),
        }),
        _ => Err(format!("no layer: {line}").into()),
    }
}

fn source(layer: &Layer) -> Source {
    Source {
        url: layer.url.clone(),
        headers: Vec::new(),
        allow_http: true,
        tls: Default::default(),
        proxy: None,
        connect_ms: 10_000,
        stall_ms: 30_000,
        answer_ms: 30_000,
        attempts: 1,
    }
}

fn alone(layers: &[Layer], place: &Path) -> Result<(), Box<dyn Error>> {
    let [mut download, mut digest, mut inflate, mut diff_id, mut unpack, mut sync] = [(); 6].map(|()| Cost::default());
    let mut index = 0.0;
    for (at, layer) in layers.iter().enumerate() {
        let (blob_digest, tar_digest) = (Digest::parse(&layer.digest)?, Digest::parse(&layer.diff_id)?);
        let job = Job::register(&format!("stages-{at}"), layer.size)?;
        download.add(layer.size, || measure::downloaded(&source(layer), layer.size, &job, |_| {}))?;
        let mut blob = Vec::new();
        measure::downloaded(&source(layer), layer.size, &job, |piece| blob.extend_from_slice(piece))?;
        let got = digest.add(layer.size, || measure::hashed(&blob_digest, blob.chunks(256 << 10)));
        let mut tar = Vec::new();
        measure::inflated(&blob, |piece| tar.extend_from_slice(piece))?;
        inflate.add(tar.len() as u64, || measure::inflated(&blob, |_| {}))?;
        drop(blob);
        let got_tar = diff_id.add(tar.len() as u64, || measure::hashed(&tar_digest, tar.chunks(256 << 10)));
        if got != blob_digest || got_tar != tar_digest {
            return Err(format!("{} has another digest", layer.url).into());
        }
        let dir = place.join(format!("{}-{at}", std::process::id()));
        std::fs::create_dir(&dir)?;
        unpack.add(tar.len() as u64, || {
            apply_layer(tar.as_slice(), File::open(&dir)?.into(), &LIMITS).map_err(Box::<dyn Error>::from)
        })?;
        index += index_cost(&tar, &dir.with_extension("again"))?;
    }
    println!("tar index CPU s {index:.3}");
    let bytes = unpack.bytes;
    sync.add(bytes, || sync_fs(place))?;
    let names = ["download", "digest", "inflate", "diff id", "unpack", "sync"];
    let costs = [download, digest, inflate, diff_id, unpack, sync];
    for (name, Cost { seconds, bytes }) in names.iter().zip(&costs) {
        println!("{name} MB/s {:.0}", *bytes as f64 / 1e6 / seconds);
    }
    println!("sum s {:.3}", costs.iter().map(|cost| cost.seconds).sum::<f64>());
    Ok(())
}

/// Processor seconds that the index costs: of this thread, with it and without it, the least of three times each.
fn index_cost(tar: &[u8], dir: &Path) -> Result<f64, Box<dyn Error>> {
    let mut least = [f64::MAX; 2];
    for time in 0..6 {
        let with = time % 2;
        let diff = dir.join("diff");
        std::fs::create_dir_all(&diff)?;
        let open = File::open(&diff)?.into();
        let begin = processor_seconds();
        if with == 1 {
            measure::indexed(dir, open, tar, &LIMITS)?;
        } else {
            apply_layer(tar, open, &LIMITS)?;
        }
        least[with] = least[with].min(processor_seconds() - begin);
        remove_now(dir)?;
    }
    Ok((least[1] - least[0]).max(0.0))
}

/// Of this thread.
fn processor_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn whole(layers: &[Layer], place: &Path, at_once: usize) -> Result<(), Box<dyn Error>> {
    let next = AtomicUsize::new(0);
    let begin = Instant::now();
    let work = || -> Result<(), String> {
        while let Some((at, layer)) = Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, layers.get(at)?))) {
            let request: FetchLayer = serde_json::from_value(serde_json::json!({
                "handle": format!("stages-{at}"), "url": layer.url, "headers": [], "allowHttp": true,
                "tls": {"caFiles": [], "clientCert": null, "clientKey": null, "skipVerify": false},
                "proxy": null, "connectMs": 10_000, "stallMs": 30_000, "attempts": 1,
                "expected": {"digest": layer.digest, "size": layer.size, "diffId": layer.diff_id, "mediaType": layer.media_type},
                "destination": {"stagingDir": place.join(format!("{}-{at}", std::process::id())), "keepBlobPath": null},
                "limits": {"maxEntries": 1 << 24, "maxBytes": 1_u64 << 40, "maxRatio": 1 << 20, "maxDepth": 1024,
                    "maxPathBytes": 4096, "maxXattrBytes": 1 << 20},
            }))
            .map_err(|e| e.to_string())?;
            let job = Job::register(&format!("stages-{at}"), layer.size).map_err(|e| e.to_string())?;
            fetch_layer(&request, &job).map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|one| one.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    println!("pull s {:.3}", begin.elapsed().as_secs_f64());
    Ok(())
}
