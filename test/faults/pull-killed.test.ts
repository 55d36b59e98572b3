// A daemon that is killed in the middle of a pull: at each step it can be seen from outside, the next pull goes on from there.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, type SeenRequest, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage, type TestImage } from '../helpers/image-parts.ts';
import { pull } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
let serial = 0;

/** A registry with an image of three layers, none of which any other image has. */
async function withImage(t: ExecutionContext): Promise<{ fake: FakeRegistry; image: TestImage; reference: string }> {
  const fake = await startFakeRegistry();
  t.teardown(() => fake.close());
  const own = `killed ${(serial += 1)} of ${process.pid}`;
  const body = (n: number): string =>
    Array.from({ length: 20_000 }, (_, at) => `${own} ${n} ${Math.sin(at * n)}`).join('\n');
  const image = makeImage([{ one: body(1) }, { two: body(2) }, { three: body(3) }], { architecture });
  fake.push('some/image', '1', image);
  return { fake, image, reference: `${fake.host}/some/image:1` };
}

const layers = (): string[] => readdirSync(join(daemon.root, 'layers')).filter((name) => /^[0-9a-f]{64}$/.test(name));
const unfinished = (): string[] => [
  ...readdirSync(join(daemon.root, 'ingest')),
  ...readdirSync(join(daemon.root, 'layers')).filter((name) => name.startsWith('.')),
  ...readdirSync(join(daemon.root, 'content/sha256')).filter((name) => !/^[0-9a-f]{64}$/.test(name)),
];

interface Step {
  readonly name: string;
  /** Whether the registry holds this request back, or half of its body, until the daemon is dead. */
  readonly holds: (request: SeenRequest, image: TestImage) => boolean;
  /** Layers that are complete when the daemon is killed. */
  readonly complete: number;
}

const isBlob = (request: SeenRequest, digest: string): boolean =>
  request.method === 'GET' && request.url.endsWith(`/blobs/${digest}`);
const last = (image: TestImage) => image.layers.at(-1)?.digest ?? '';

const steps: readonly Step[] = [
  { name: 'the manifest', holds: ({ url }) => url.includes('/manifests/'), complete: 0 },
  { name: 'the config', holds: (request, image) => isBlob(request, image.config.digest), complete: 0 },
  {
    name: 'every layer',
    holds: (request, image) => image.layers.some(({ digest }) => isBlob(request, digest)),
    complete: 0,
  },
  {
    name: 'the last layer, the others being complete',
    holds: (request, image) => isBlob(request, last(image)),
    complete: 2,
  },
];

for (const { name, holds, complete } of steps) {
  test.serial(`killed while it waits for ${name}`, async (t) => {
    const { fake, image, reference } = await withImage(t);
    const before = layers().length;
    let held = false;
    fake.intercept = (request, response) => {
      if (!holds(request, image)) return false;
      const layer = image.layers.find(({ digest }) => isBlob(request, digest));
      if (layer) {
        response.writeHead(200, { 'content-length': layer.bytes.length });
        response.write(layer.bytes.subarray(0, layer.bytes.length / 2));
      }
      held = true;
      return true;
    };
    const lost = pull(daemon, reference).then(
      () => 'pulled',
      () => 'lost',
    );
    await until('the pull is where it is to be', () => held && layers().length === before + complete);
    await daemon.crash();
    t.is(await lost, 'lost');
    t.deepEqual(unfinished(), []);
    t.is(layers().length, before + complete);
    t.is((await daemon.image.ImageStatus({ image: { image: reference } })).image, null);
    fake.intercept = () => false;
    fake.requests.length = 0;
    t.is(await pull(daemon, reference), image.config.digest);
    const fetched = image.layers.filter(({ digest }) => fake.requests.some((request) => isBlob(request, digest)));
    t.is(fetched.length, image.layers.length - complete, 'what is complete is not fetched again');
    t.is(layers().length, before + image.layers.length);
    t.deepEqual(unfinished(), []);
  });
}

endsWithoutResidue(test, daemon);
