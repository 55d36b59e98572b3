// The addon's storage calls in TypeScript, for tests of what is built on them: real files, real HTTP, no tar.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { dirname, join } from 'node:path';
import type {
  ExportSource,
  FetchLayerRequest,
  FetchStage,
  LayerDestination,
  UnpackedLayer,
} from '../../src/native/boundary.ts';
import { NativeError } from '../../src/native/errors.ts';
import type { StorageNative } from '../../src/storage/ports.ts';

/** The calls as a test may replace them. */
type Replaceable = { -readonly [K in keyof StorageNative]: StorageNative[K] };

export interface FakeStorageNative extends Replaceable {
  /** Every call, by name, in order. */
  readonly calls: { readonly name: string; readonly args: unknown }[];
  /** Makes the next call of that name fail. */
  failNext(name: keyof StorageNative, error: NativeError): void;
}

/** A failure of a fetch at a stage. */
export const nativeFailure = (stage: FetchStage | 'rename', errno: number, object = ''): NativeError =>
  new NativeError({ operation: 'test', syscall: stage, errno, object, message: `test: ${stage} failed with ${errno}` });

/** Makes a fake. */
export function fakeStorageNative(): FakeStorageNative {
  const calls: { name: string; args: unknown }[] = [];
  const failing = new Map<string, NativeError>();
  const running = new Map<string, AbortController>();
  let trash = 0;
  const note = (name: string, args: unknown): void => {
    calls.push({ name, args });
    const error = failing.get(name);
    failing.delete(name);
    if (error) throw error;
  };
  const unpackedIn = async (to: LayerDestination, bytes: Buffer, diffId: string): Promise<UnpackedLayer> => {
    await mkdir(join(to.stagingDir, 'diff'), { recursive: true });
    await writeFile(join(to.stagingDir, 'diff', 'blob'), bytes);
    if (bytes.includes('implies')) await writeFile(join(to.stagingDir, 'implied'), 'tmp\0');
    if (to.keepBlobPath !== null) await writeFile(to.keepBlobPath, bytes);
    const blobDigest = sha256(bytes);
    return {
      blobDigest,
      blobBytes: bytes.length,
      diffId,
      unpackedBytes: bytes.length * 2,
      diskBytes: bytes.length * 2,
      inodes: 3,
      entries: 2,
    };
  };
  return {
    calls,
    failNext: (name, error) => void failing.set(name, error),
    async fsInfo(args) {
      note('fsInfo', args);
      return { mountpoint: '/', totalBytes: 1000, availableBytes: 500, totalInodes: 100, freeInodes: 50, fsId: '8:1' };
    },
    async layerUsage(args) {
      note('layerUsage', args);
      return { bytes: 4096, inodes: (await readdir(args.dir).catch(() => [])).length };
    },
    async layerUsages(args) {
      note('layerUsages', args);
      return Promise.all(
        args.dirs.map(async (dir) => ({ ok: { bytes: 4096, inodes: (await readdir(dir).catch(() => [])).length } })),
      );
    },
    async quotaSupport() {
      return { counted: false, enforced: false, missing: 'none in this test' };
    },
    async quotaAssign(args) {
      note('quotaAssign', args);
      await mkdir(args.dir, { recursive: true });
      return args.firstProject;
    },
    async quotaUsage(args) {
      note('quotaUsage', args);
      return { bytes: 8192, inodes: 3 };
    },
    async quotaForget(args) {
      note('quotaForget', args);
      return 0;
    },
    async readThrough(args) {
      note('readThrough', args);
      for (const layer of args.layers) {
        const text = await readFile(join(layer, args.path), 'utf8').catch(() => null);
        if (text !== null) return text;
      }
      return null;
    },
    async prepareSnapshot(args) {
      note('prepareSnapshot', args);
      const made = { upper: join(args.dir, 'upper'), work: join(args.dir, 'work') };
      await mkdir(made.upper, { recursive: true });
      await mkdir(made.work, { recursive: true });
      return made;
    },
    async inheritDirectories(args) {
      note('inheritDirectories', args);
      return (await readFile(join(args.layerDir, 'implied'), 'utf8')).split('\0').length - 1;
    },
    async commitDir(args) {
      note('commitDir', args);
      try {
        await rename(args.from, args.to);
        return { committed: true };
      } catch {
        await rm(args.from, { recursive: true });
        return { committed: false };
      }
    },
    async removeTree(args) {
      note('removeTree', args);
      await mkdir(args.trashDir, { recursive: true });
      try {
        await rename(args.path, join(args.trashDir, `t${(trash += 1)}`));
        return { removed: true };
      } catch {
        return { removed: false };
      }
    },
    async sweepTrash(args) {
      note('sweepTrash', args);
      const names = await readdir(args.trashDir).catch(() => []);
      // Only what lies in it, as the addon does it: a removal that goes on meanwhile needs the directory.
      await Promise.all(names.map((name) => rm(join(args.trashDir, name), { recursive: true, force: true })));
      return { removed: names.length };
    },
    async writeFileAtomic(args) {
      note('writeFileAtomic', args);
      await writeFile(args.path, args.data, { mode: args.mode });
      return null;
    },
    async fetchLayer(request) {
      note('fetchLayer', request);
      const stop = new AbortController();
      running.set(request.handle, stop);
      await mkdir(request.destination.stagingDir);
      try {
        const bytes = await download(request, stop.signal);
        return await unpackedIn(request.destination, bytes, request.expected.diffId);
      } catch (error) {
        await rm(request.destination.stagingDir, { recursive: true, force: true });
        throw error;
      } finally {
        running.delete(request.handle);
      }
    },
    async fetchBlob(request) {
      note('fetchBlob', request);
      if (Object.keys(request.expected).sort().join() !== 'digest,size') throw new Error('fields the addon refuses');
      const bytes = await download(request, new AbortController().signal);
      if (request.keepBlobPath !== null) await writeFile(request.keepBlobPath, bytes);
      return { data: null, digest: request.expected.digest, bytes: bytes.length };
    },
    fetchProgress: () =>
      [...running.keys()].map((handle) => ({
        handle,
        bytes: 7,
        totalBytes: 9,
        unpackedBytes: 0,
        stage: 'downloading',
      })),
    fetchCancel(args) {
      note('fetchCancel', args);
      running.get(args.handle)?.abort();
      return running.has(args.handle);
    },
    async archiveIndex(args) {
      note('archiveIndex', args);
      const names = await readdir(args.path, { recursive: true });
      const entries: { name: string; offset: number; size: number }[] = [];
      const files: Record<string, string> = {};
      for (const name of names) {
        const bytes = await readFile(join(args.path, name)).catch(() => null);
        if (bytes === null) continue;
        entries.push({ name, offset: 0, size: bytes.length });
        if (!name.includes('/')) files[name] = bytes.toString('utf8');
      }
      return { path: args.path, temporary: false, entries, files };
    },
    async archiveRead(args) {
      note('archiveRead', args);
      return { data: (await readFile(join(args.path, args.entry.name))).toString('base64') };
    },
    // An archive is a directory here, as it is for archiveIndex.
    async exportBlob({ handle, source, compression, into }) {
      note('exportBlob', { handle, source, compression, into });
      const bytes = Buffer.concat([Buffer.from(compression === 'none' ? '' : compression), await blobOf(source)]);
      const [, hex = ''] = sha256(bytes).split(':');
      const name = into.type === 'directory' ? hex : (into.name ?? `blobs/sha256/${hex}`);
      await writeDeep(join(into.path, name), bytes);
      return { digest: `sha256:${hex}`, bytes: bytes.length };
    },
    async verifyBlob(request) {
      note('verifyBlob', request);
      return { bytes: (await blobOf(request.source)).length };
    },
    async beginArchive(args) {
      note('beginArchive', args);
      await mkdir(args.path);
      return { inode: '1' };
    },
    // what pushes is held against real registries only
    async sendBlob(request) {
      note('sendBlob', request);
      throw nativeFailure('connect', 111, request.file.digest);
    },
    async finishArchive(args) {
      note('finishArchive', args);
      await rename(args.path, args.to);
      return { bytes: 1 };
    },
    async syncFs(args) {
      note('syncFs', args);
      return null;
    },
    async unpackFromArchive(request) {
      note('unpackFromArchive', request);
      const bytes = await readFile(join(request.path, request.entry.name));
      const { digest, diffId } = request.expected;
      if (digest !== null && sha256(bytes) !== digest) throw nativeFailure('digest', 0, digest);
      return unpackedIn(request.destination, bytes, diffId);
    },
  };
}

/** A source's bytes, if they are what its digest says. */
async function blobOf(source: ExportSource): Promise<Buffer> {
  if (source.type === 'text') return Buffer.from(source.text);
  const [path, digest] =
    source.type === 'layer'
      ? [join(source.layerDir, 'diff', 'blob'), source.diffId]
      : [source.type === 'file' ? source.path : join(source.path, source.entry.name), source.digest];
  const bytes = await readFile(path).catch(() => null);
  if (bytes === null) throw nativeFailure('layer', 0, digest);
  // layers of a fake registry are what they are: their diff ids are of tars that were never made
  if (source.type !== 'layer' && sha256(bytes) !== digest) throw nativeFailure('digest', 0, digest);
  return bytes;
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

type Wanted = Pick<FetchLayerRequest, 'url' | 'headers'> & { expected: { digest: string; size: number } };

async function download(request: Wanted, signal: AbortSignal): Promise<Buffer> {
  const get = (url: string, headers: Record<string, string>): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const outgoing = http.get(url, { headers, signal, agent: false }, (response) => {
        const { statusCode = 0 } = response;
        if (statusCode === 307) return resolve(get(response.headers.location ?? '', {}));
        if (statusCode !== 200) return reject(nativeFailure('http', statusCode, request.expected.digest));
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve(Buffer.concat(chunks)));
        response.on('error', () => reject(nativeFailure(signal.aborted ? 'cancel' : 'connect', 104)));
      });
      outgoing.on('error', () => reject(nativeFailure(signal.aborted ? 'cancel' : 'connect', 111)));
    });
  const bytes = await get(request.url, Object.fromEntries(request.headers));
  if (bytes.length !== request.expected.size || sha256(bytes) !== request.expected.digest) {
    throw nativeFailure('digest', 0, request.expected.digest);
  }
  return bytes;
}

/** Makes the parents of a file and writes it. */
export async function writeDeep(file: string, data: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, data);
}
