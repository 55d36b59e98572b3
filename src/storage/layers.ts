// Unpacked layers by chain id: `<layers>/<hex>/{diff,layer.json}`. One rename makes a layer true.
// Must not know images: who needs a layer is decided by image/garbage.ts.
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncPath } from '../files/sync.ts';
import type { Clock } from '../lib/clock.ts';
import { failedPrecondition, unavailable } from '../lib/failure.ts';
import { type ChainId, type Digest, digestHex } from '../lib/id.ts';
import { SingleFlight } from '../lib/single-flight.ts';
import type { TreeUsage, UnpackedLayer } from '../native/boundary.ts';
import { fetchCall, fetchFile } from './fetch-call.ts';
import { encodeLayer, type Layer, readLayer } from './layer-file.ts';
import { handleOf } from './layer-handle.ts';
import { diskFailure } from './native-failure.ts';
import type { FetchBounds, FetchFrom, LayerBlob, StorageNative } from './ports.ts';
import { staged } from './staging.ts';

export type { Layer } from './layer-file.ts';

/** What a start found. */
export interface LayersReport {
  readonly loaded: number;
  /** Unfinished layers that were swept. */
  readonly swept: number;
  /** Directories that are no usable layer: thrown away, or left where a newer release wrote them. */
  readonly damaged: readonly { readonly name: string; readonly why: string }[];
}

export interface LayersOptions {
  readonly layersDir: string;
  readonly trashDir: string;
  readonly native: StorageNative;
  readonly bounds: FetchBounds;
  readonly clock: Clock;
}

/** Where a layer's bytes come from. */
export type LayerSource =
  | { readonly type: 'registry'; readonly from: FetchFrom; readonly keepBlobPath: string | null }
  | {
      readonly type: 'archive';
      readonly path: string;
      readonly entry: { readonly name: string; readonly offset: number; readonly size: number };
      /** Whether `blob.digest` is of the bytes as stored there. */
      readonly verifyDigest: boolean;
      readonly keepBlobPath: string | null;
    };

/** What is to be put together: its chain id, the bytes of all files, and what it is called in failures. */
export interface Assembly {
  readonly chainId: ChainId;
  readonly size: number;
  readonly label: string;
}

/** Downloads one file of an assembled layer. */
export type PutFile = (
  file: { readonly path: string; readonly digest: Digest; readonly size: number },
  from: FetchFrom,
  signal: AbortSignal,
) => Promise<void>;

/** `mediaType` of a layer that was assembled. */
const assembledType = 'application/vnd.podwright.files';
const emptyName = 'empty';
const fileBlock = 4096; // what a small file takes on the disk
/** The addon's list of directories that a layer's tar implied without an entry of their own; not there if there are none. */
const impliedName = 'implied';

/** The layers of this node. Reads come from memory. */
export class Layers {
  readonly #options: LayersOptions;
  readonly #index = new Map<ChainId, Layer>();
  /** Layers whose implied directories have not got their attributes yet. */
  readonly #unsettled = new Set<ChainId>();
  readonly #removing = new Map<ChainId, Promise<unknown>>();
  readonly #flights = new SingleFlight<Layer>();
  readonly #closing = new AbortController();
  readonly #usage = { bytes: 0, inodes: 0 };
  readonly #unpacking = new Map<ChainId, Promise<unknown>>();
  readonly #newer = new Set<string>(); // directories of a newer release: left, and as good as ours

  constructor(options: LayersOptions) {
    this.#options = options;
  }

  /** Reads what is there and sweeps what never became a layer. Once, before anything else. */
  async load(): Promise<LayersReport> {
    const { layersDir, trashDir, native } = this.#options;
    await mkdir(join(layersDir, emptyName, 'diff'), { recursive: true, mode: 0o755 });
    const damaged: { name: string; why: string }[] = [];
    let swept = 0;
    for (const name of await readdir(layersDir)) {
      if (name === emptyName) continue;
      const layer = name.startsWith('.') ? null : await readLayer(join(layersDir, name), name);
      if (layer?.type === 'layer') this.#add(layer.value);
      else if (layer?.type === 'newer') {
        this.#newer.add(name);
        damaged.push({ name, why: layer.why });
      } else {
        if (layer === null) swept += 1;
        else damaged.push({ name, why: layer.why });
        await native.removeTree({ path: join(layersDir, name), trashDir });
      }
    }
    return { loaded: this.#index.size, swept, damaged };
  }

  get(chainId: ChainId): Layer | undefined {
    return this.#index.get(chainId);
  }

  has(chainId: ChainId): boolean {
    return this.#index.has(chainId);
  }

  list(): Layer[] {
    return [...this.#index.values()];
  }

  /** What all layers take on the disk, from memory. */
  usage(): TreeUsage {
    return { ...this.#usage };
  }

  /** The directory of a layer, with its tree and its tar's index. */
  layerDir(chainId: string): string {
    return this.#dir(chainId);
  }

  /** The unpacked tree of a layer. */
  diffDir(chainId: string): string {
    return join(this.#dir(chainId), 'diff');
  }

  /** The trees of a chain for an overlay mount, topmost first; an empty one for an image without layers. */
  lowerDirs(chain: readonly string[]): string[] {
    if (chain.length === 0) return [join(this.#options.layersDir, emptyName, 'diff')];
    return chain.map((id) => this.diffDir(id)).reverse();
  }

  /**
   * The layer, made by `make` unless it is there; callers that come meanwhile share the work.
   * `make` is given a function that unpacks one source, to be called until it succeeds.
   */
  async ensure(
    blob: LayerBlob,
    signal: AbortSignal,
    make: (unpack: (source: LayerSource) => Promise<Layer>, signal: AbortSignal) => Promise<Layer>,
  ): Promise<Layer> {
    const there = this.#index.get(blob.chainId);
    if (there) return there;
    return this.#flights.run(blob.chainId, signal, async (own) => {
      const meanwhile = await this.#leftTo(blob.chainId);
      if (meanwhile) return meanwhile;
      const stop = AbortSignal.any([own, this.#closing.signal]);
      return make((source) => this.#tracked(blob.chainId, this.#unpack(blob, source, stop)), stop);
    });
  }

  /**
   * A layer that is put together from files instead of unpacked, made by `fill` unless it is there. `fill` is given a
   * function that downloads one file to a path in the layer, which must be inside it.
   */
  async assemble(
    wanted: Assembly,
    signal: AbortSignal,
    fill: (put: PutFile, signal: AbortSignal) => Promise<void>,
  ): Promise<Layer> {
    const there = this.#index.get(wanted.chainId);
    if (there) return there;
    const { maxBytes } = this.#options.bounds.limits;
    if (wanted.size > maxBytes)
      throw failedPrecondition(`artifact ${wanted.label} has ${wanted.size} bytes, more than ${maxBytes}`);
    return this.#flights.run(wanted.chainId, signal, async (own) => {
      const meanwhile = await this.#leftTo(wanted.chainId);
      if (meanwhile) return meanwhile;
      const stop = AbortSignal.any([own, this.#closing.signal]);
      return this.#tracked(wanted.chainId, this.#assemble(wanted, stop, fill));
    });
  }

  async #assemble(
    { chainId, size }: Assembly,
    signal: AbortSignal,
    fill: (put: PutFile, signal: AbortSignal) => Promise<void>,
  ): Promise<Layer> {
    const { native, bounds } = this.#options;
    return staged(this.#options, handleOf(chainId), async (stagingDir) => {
      const dir = join(stagingDir, 'diff');
      await makeTree(dir, []);
      const put: PutFile = async (file, from, own) => {
        await makeTree(dir, file.path.split('/').slice(0, -1));
        const path = join(dir, file.path);
        await fetchFile({ native, bounds }, { ...file, path, handle: handleOf(chainId) }, { from, signal: own });
        await chmod(path, 0o644);
      };
      await fill(put, signal);
      const usage = await native.layerUsage({ dir: stagingDir });
      const digest = chainId as string as Digest;
      const [diskBytes, inodes] = [usage.bytes, usage.inodes];
      const unpacked = { blobDigest: digest, blobBytes: size, unpackedBytes: size, diskBytes, inodes };
      return this.#commit({ chainId, diffId: digest, mediaType: assembledType }, unpacked, stagingDir);
    }).catch((error: unknown) => {
      throw diskFailure(error, `assemble layer ${chainId}`);
    });
  }

  /**
   * Gives directories that a layer's tar only implied owner, mode and time of the same directories in the layers below
   * (to overlayfs the topmost one's count). To be called when all of a chain is here and before anything stands on it;
   * what was done is not done again. The list of a layer goes last: after a crash that layer is simply done once more.
   */
  async settle(chain: readonly ChainId[]): Promise<void> {
    for (const [at, chainId] of chain.entries()) {
      if (!this.#unsettled.has(chainId)) continue;
      const layerDir = this.#dir(chainId);
      const below = chain.slice(0, at).map((id) => this.diffDir(id));
      try {
        await this.#options.native.inheritDirectories({ layerDir, below: below.reverse() });
        await rm(join(layerDir, impliedName), { force: true }); // another image with this layer may have been first
      } catch (error) {
        throw diskFailure(error, `set the attributes of implied directories in layer ${chainId}`);
      }
      this.#unsettled.delete(chainId);
    }
  }

  /**
   * Takes a layer away: at once out of the index, out of its place by one rename, freed in the background. One that
   * cannot be moved is in the index again.
   */
  async remove(chainId: ChainId): Promise<void> {
    await this.#takeAway(chainId, () => this.#retire(chainId));
  }

  /** The same, but to a directory where it stays whole: for a damaged layer that containers stand on. */
  async setAside(chainId: ChainId, to: string): Promise<void> {
    await this.#takeAway(chainId, async () => {
      await mkdir(dirname(to), { recursive: true, mode: 0o700 });
      await rename(this.#dir(chainId), to);
    });
  }

  async #takeAway(chainId: ChainId, take: () => Promise<unknown>): Promise<void> {
    const layer = this.#index.get(chainId);
    if (!layer) return;
    this.#index.delete(chainId);
    this.#count(layer, -1);
    this.#unsettled.delete(chainId);
    const work = take();
    this.#removing.set(chainId, work);
    try {
      await work;
    } catch (error) {
      // the tree is still in its place: a pull must not take it for a new one
      if (existsSync(this.#dir(chainId))) this.#add(layer);
      throw diskFailure(error, `remove layer ${chainId}`);
    } finally {
      this.#removing.delete(chainId);
    }
  }

  /** Cancels what is being unpacked and waits until none of it touches the disk. */
  async close(): Promise<void> {
    this.#closing.abort(unavailable('the image store is closing'));
    await Promise.allSettled(this.#unpacking.values());
  }

  #dir(chainId: string): string {
    return join(this.#options.layersDir, digestHex(chainId));
  }

  #add(layer: Layer): void {
    this.#index.set(layer.chainId, layer);
    this.#count(layer, 1);
    if (existsSync(join(this.#dir(layer.chainId), impliedName))) this.#unsettled.add(layer.chainId);
  }

  #count(layer: Layer, sign: 1 | -1): void {
    this.#usage.bytes += sign * (layer.diskBytes ?? layer.bytes);
    this.#usage.inodes += sign * layer.inodes;
  }

  #tracked(chainId: ChainId, work: Promise<Layer>): Promise<Layer> {
    this.#unpacking.set(chainId, work);
    return work.finally(() => this.#unpacking.delete(chainId));
  }

  /** The layer, also one that work which all its callers have left was about to commit: that cannot be called off. */
  async #leftTo(chainId: ChainId): Promise<Layer | undefined> {
    await this.#unpacking.get(chainId)?.catch(() => undefined); // those who asked for it are told
    return this.#index.get(chainId);
  }

  async #unpack(blob: LayerBlob, source: LayerSource, signal: AbortSignal): Promise<Layer> {
    const handle = handleOf(blob.chainId);
    return staged(this.#options, handle, async (stagingDir) => {
      const unpacked = await fetchCall(this.#options.native, {
        handle,
        doing: `get layer ${blob.digest}`,
        host: source.type === 'registry' ? source.from.host : '',
        signal,
        start: () => this.#start(blob, source, { handle, stagingDir }),
      });
      return this.#commit(blob, unpacked, stagingDir);
    });
  }

  #start(
    blob: LayerBlob,
    source: LayerSource,
    { handle, stagingDir }: { handle: string; stagingDir: string },
  ): Promise<UnpackedLayer> {
    const { native, bounds } = this.#options;
    const { digest, diffId, size, mediaType } = blob;
    const { limits } = bounds;
    if (source.type === 'archive') {
      const expected = { digest: source.verifyDigest ? digest : null, diffId };
      const destination = { stagingDir, keepBlobPath: source.keepBlobPath };
      return native.unpackFromArchive({
        handle,
        path: source.path,
        entry: source.entry,
        expected,
        destination,
        limits,
      });
    }
    const { host: _, ...from } = source.from;
    const { stallMs, attempts } = bounds;
    const destination = { stagingDir, keepBlobPath: source.keepBlobPath };
    return native.fetchLayer({
      ...from,
      handle,
      stallMs,
      attempts,
      expected: { digest, size, diffId, mediaType },
      destination,
      limits,
    });
  }

  async #commit(
    blob: Pick<LayerBlob, 'chainId' | 'diffId' | 'mediaType'>,
    unpacked: Pick<UnpackedLayer, 'blobDigest' | 'blobBytes' | 'unpackedBytes' | 'diskBytes' | 'inodes'>,
    stagingDir: string,
  ): Promise<Layer> {
    const { native, clock } = this.#options;
    const layer: Layer = {
      chainId: blob.chainId,
      diffId: blob.diffId,
      blobDigest: unpacked.blobDigest as Digest,
      blobBytes: unpacked.blobBytes,
      mediaType: blob.mediaType,
      bytes: unpacked.unpackedBytes,
      diskBytes: unpacked.diskBytes + fileBlock, // with the file that says so
      inodes: unpacked.inodes + 1,
      committedAt: clock.now(),
    };
    try {
      const data = encodeLayer(layer);
      await native.writeFileAtomic({ path: join(stagingDir, 'layer.json'), data, mode: 0o600, sync: true });
      await this.#freePlace(blob.chainId);
      const { committed } = await native.commitDir({ from: stagingDir, to: this.#dir(blob.chainId) });
      if (!committed && !this.#newer.has(digestHex(blob.chainId)))
        throw unavailable(`commit layer ${blob.chainId}: its place is taken`);
    } catch (error) {
      throw diskFailure(error, `commit layer ${blob.chainId}`);
    }
    this.#add(layer);
    return layer;
  }

  /** Whatever is at a layer's place is not the one that was just made, and nobody knows what it is. */
  async #freePlace(chainId: ChainId): Promise<void> {
    await this.#removing.get(chainId)?.catch(() => undefined); // whoever removes it is told
    if (this.#index.has(chainId)) throw unavailable(`commit layer ${chainId}: the old one could not be removed`);
    if (this.#newer.has(digestHex(chainId))) return;
    await this.#retire(chainId);
  }

  #retire(chainId: ChainId): Promise<unknown> {
    return this.#options.native.removeTree({ path: this.#dir(chainId), trashDir: this.#options.trashDir });
  }
}

/** Makes a directory with those below it, for everybody to read, whatever the umask; synced, as are the files put there. */
async function makeTree(top: string, parts: readonly string[]): Promise<void> {
  for (let depth = 0; depth <= parts.length; depth += 1) {
    const dir = join(top, ...parts.slice(0, depth));
    if ((await mkdir(dir, { recursive: true })) === undefined) continue;
    await chmod(dir, 0o755);
    await syncPath(dirname(dir));
  }
}
