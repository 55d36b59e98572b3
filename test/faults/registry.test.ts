// Registries that lie, break off or stall: pulls go on where they can, else fail with host and digest, and leave nothing half-made.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, refuse, type SeenRequest, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage, type TestImage } from '../helpers/image-parts.ts';
import { pull } from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test, { flags: ['--set=registry.stall_timeout=5s'] });
const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
let serial = 0;

/** A registry with an image of three layers, none of which any other image has. */
async function withImage(t: ExecutionContext): Promise<{ fake: FakeRegistry; image: TestImage; reference: string }> {
  const fake = await startFakeRegistry();
  t.teardown(() => fake.close());
  const own = `image ${(serial += 1)} of ${process.pid}`;
  // random enough to stay large when compressed
  const body = (n: number): string =>
    Array.from({ length: 30_000 }, (_, at) => `${own} ${n} ${Math.sin(at * n)}`).join('\n');
  const image = makeImage([{ one: body(1) }, { two: body(2) }, { three: body(3) }], { architecture });
  fake.push('some/image', '1', image);
  return { fake, image, reference: `${fake.host}/some/image:1` };
}

const halfMade = (): string[] => [
  ...readdirSync(join(daemon.root, 'ingest')),
  ...readdirSync(join(daemon.root, 'layers')).filter((name) => name.startsWith('.')),
];

async function leftNothing(t: ExecutionContext, reference: string): Promise<void> {
  t.is((await daemon.image.ImageStatus({ image: { image: reference } })).image, null);
  await until('nothing half-made is left', () => halfMade().length === 0).catch(() => undefined);
  t.deepEqual(halfMade(), []);
}

/** Sends the beginning of a body and breaks the connection. */
function breakOff(response: ServerResponse, bytes: Buffer): true {
  response.writeHead(200, { 'content-length': bytes.length });
  response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
  return true;
}

const isBlob = (request: SeenRequest, digest: string): boolean =>
  request.url.endsWith(`/blobs/${digest}`) && request.method === 'GET';

test.serial('a blob that is not what its digest says is refused with host and digest', async (t) => {
  const { fake, image, reference } = await withImage(t);
  const [, layer] = image.layers;
  fake.intercept = (request, response) => {
    if (!isBlob(request, layer?.digest ?? '')) return false;
    const lie = Buffer.from(layer?.bytes ?? '');
    lie.writeUInt8(lie.readUInt8(lie.length - 100) ^ 1, lie.length - 100);
    response.writeHead(200, { 'content-length': lie.length });
    response.end(lie);
    return true;
  };
  const error = await t.throwsAsync(pull(daemon, reference));
  t.true(error?.message.includes(fake.host) && error.message.includes(layer?.digest ?? '?'), error?.message);
  await leftNothing(t, reference);
});

test.serial('a manifest that is not what its digest says is refused', async (t) => {
  const { fake, image } = await withImage(t);
  const reference = `${fake.host}/some/image@${image.manifest.digest}`;
  fake.intercept = (request, response) => {
    if (!request.url.includes('/manifests/')) return false;
    const lie = Buffer.from(image.manifest.bytes.toString().replace('"schemaVersion":2', '"schemaVersion":2 '));
    response.writeHead(200, { 'content-type': image.manifest.mediaType, 'content-length': lie.length });
    response.end(request.method === 'HEAD' ? undefined : lie);
    return true;
  };
  await t.throwsAsync(pull(daemon, reference), { message: /digest/ });
  await leftNothing(t, reference);
});

test.serial('a connection that breaks off in the middle of a blob is taken up again', async (t) => {
  const { fake, image, reference } = await withImage(t);
  const broken = new Set<string>();
  fake.intercept = (request, response) => {
    const layer = image.layers.find(({ digest }) => isBlob(request, digest));
    if (!layer || broken.has(layer.digest)) return false;
    broken.add(layer.digest);
    return breakOff(response, layer.bytes);
  };
  t.is(await pull(daemon, reference), image.config.digest);
  t.is(broken.size, 3);
});

test.serial('one that always breaks off fails in bounded time, and a later pull goes on', async (t) => {
  const { fake, image, reference } = await withImage(t);
  const [layer] = image.layers;
  fake.intercept = (request, response) =>
    isBlob(request, layer?.digest ?? '') && breakOff(response, layer?.bytes ?? Buffer.alloc(0));
  const error = await t.throwsAsync(pull(daemon, reference));
  t.true(error?.message.includes(fake.host) && error.message.includes(layer?.digest ?? '?'), error?.message);
  await leftNothing(t, reference);
  fake.intercept = () => false;
  t.is(await pull(daemon, reference), image.config.digest);
});

test.serial('a registry that stalls is given up on, or tried again', async (t) => {
  const { fake, image, reference } = await withImage(t);
  const [layer] = image.layers;
  let stalls = 0;
  fake.intercept = (request, response) => {
    if (!isBlob(request, layer?.digest ?? '') || stalls > 0) return false;
    stalls += 1;
    response.writeHead(200, { 'content-length': layer?.bytes.length ?? 0 });
    response.write(layer?.bytes.subarray(0, 1000));
    return true; // and never another byte
  };
  t.is(await pull(daemon, reference), image.config.digest);
  t.is(stalls, 1);
});

test.serial('errors of a server are tried again, refusals are not', async (t) => {
  const { fake, image, reference } = await withImage(t);
  let failures = 2;
  fake.intercept = (request, response) =>
    request.url.includes('/manifests/') && failures-- > 0 && refuse(response, 503, 'UNAVAILABLE');
  t.is(await pull(daemon, reference), image.config.digest);
  const other = await withImage(t);
  other.fake.intercept = (request, response) => request.url.includes('/manifests/') && refuse(response, 403, 'DENIED');
  const error = await t.throwsAsync(pull(daemon, other.reference));
  t.true(error?.message.includes(other.fake.host));
  t.true(other.fake.seen('GET', /manifests/).length + other.fake.seen('HEAD', /manifests/).length <= 2);
});

test.serial(
  'a mirror of hosts.toml is asked first, and the registry itself when the mirror has not got it',
  async (t) => {
    const [mirror, origin] = [await withImage(t), await withImage(t)];
    const hosts = join(daemon.certsDir, 'registry.example');
    mkdirSync(hosts, { recursive: true });
    writeFileSync(
      join(hosts, 'hosts.toml'),
      `server = "${origin.fake.url}"\n[host."${mirror.fake.url}"]\ncapabilities = ["pull", "resolve"]\n`,
    );
    t.is(await pull(daemon, 'registry.example/some/image:1'), mirror.image.config.digest);
    origin.fake.push('only/here', '2', origin.image);
    t.is(await pull(daemon, 'registry.example/only/here:2'), origin.image.config.digest);
    await mirror.fake.close();
    await daemon.image.RemoveImage({ image: { image: 'registry.example/some/image:1' } });
    t.is(await pull(daemon, 'registry.example/some/image:1'), origin.image.config.digest, 'the mirror is down');
  },
);

test.serial('a pull that its caller gives up on ends, and the next one works', async (t) => {
  const { fake, image, reference } = await withImage(t);
  const [layer] = image.layers;
  let asked = 0;
  fake.intercept = (request, response) => {
    if (!isBlob(request, layer?.digest ?? '')) return false;
    asked += 1;
    response.writeHead(200, { 'content-length': layer?.bytes.length ?? 0 });
    response.write(layer?.bytes.subarray(0, 1000));
    return true;
  };
  const gone = new AbortController();
  const call = daemon.image.PullImage({ image: { image: reference } }, { signal: gone.signal });
  const failed = t.throwsAsync(call);
  await until('the layer is asked for', () => asked > 0);
  gone.abort();
  await failed;
  await leftNothing(t, reference);
  fake.intercept = () => false;
  t.is(await pull(daemon, reference), image.config.digest);
});

test.serial('pulls of many images from good and bad registries at once do not disturb each other', async (t) => {
  const bad = await withImage(t);
  bad.fake.intercept = (request, response) => request.url.includes('/blobs/') && refuse(response, 500, 'BROKEN');
  const good = await Promise.all([withImage(t), withImage(t)]);
  const wanted = [bad.reference, ...good.map(({ reference }) => reference), ref('bench/tools'), ref('test/mixed')];
  const results = await Promise.allSettled(wanted.map((reference) => pull(daemon, reference)));
  t.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled', 'fulfilled', 'fulfilled', 'fulfilled'],
  );
  await leftNothing(t, bad.reference);
});

endsWithoutResidue(test, daemon);
