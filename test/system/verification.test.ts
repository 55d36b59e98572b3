// Policies of images as a kubelet meets them: nothing of a rejected image is unpacked, and none runs where it may not.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { containerConfig, runPod } from '../helpers/pods.ts';
import {
  accept,
  ecKey,
  payloadFor,
  pushSignatures,
  reject,
  signed,
  signedBy,
  writePolicy,
} from '../helpers/signatures.ts';

const place = mkdtempSync(join(tmpdir(), 'podwright-policies-'));
const policyFile = join(place, 'policy.json');
const policyDir = join(place, 'namespaces');
mkdirSync(policyDir);
test.after.always('the policies go', () => rmSync(place, { recursive: true, force: true }));

const daemon = useDaemon(test, {
  flags: [`--set=verification.policy_file=${policyFile}`, `--set=verification.policy_dir=${policyDir}`],
});
const key = ecKey();
const image = makeImage([{ hello: 'world' }]);
let server: FakeRegistry;

test.before('a registry, and policies', async () => {
  server = await startFakeRegistry();
  server.push('app', 'v1', image);
  writePolicy(policyFile, reject, { [`${server.host}/app`]: signedBy(key) });
  writePolicy(join(policyDir, 'lax.json'), accept);
});
test.after.always('the registry ends', () => server.close());

const pull = (namespace: string): Promise<unknown> =>
  daemon.image.PullImage({
    image: { image: `${server.host}/app:v1` },
    sandbox_config: { metadata: { name: 'a', namespace, uid: 'u', attempt: 0 } },
  });

async function refused(t: ExecutionContext, work: Promise<unknown>, why: RegExp): Promise<void> {
  const error = (await t.throwsAsync(work)) as ServiceError;
  t.is(error.code, grpcStatus.UNKNOWN);
  t.regex(error.details, /^SignatureValidationFailed: /);
  t.regex(error.details, why);
}

const layers = (): string[] => readdirSync(join(daemon.root, 'layers')).filter((name) => name !== 'empty');

test.serial('an image without a signature is refused before anything of it is unpacked', async (t) => {
  await refused(t, pull('strict'), /it has no signature/);
  t.is(server.seen('GET', /blobs/).length, 0);
  t.deepEqual(layers(), []);
});

test.serial('what another namespace pulled does not run where it may not, until it is signed', async (t) => {
  await pull('lax');
  const config = containerConfig({
    image: { image: image.config.digest, user_specified_image: `${server.host}/app:v1` },
  });
  const make = async (namespace: string): Promise<string> => {
    const pod = await runPod(daemon, { metadata: { name: `in-${namespace}`, namespace, uid: namespace, attempt: 0 } });
    const sandbox_config = pod.config;
    try {
      return (await daemon.runtime.CreateContainer({ pod_sandbox_id: pod.id, config, sandbox_config })).container_id;
    } finally {
      await daemon.removePod(pod.id);
    }
  };
  t.truthy(await make('lax'));
  await refused(t, make('strict'), /is not allowed in namespace strict .* it has no signature/);
  pushSignatures(server, { repository: 'app', digest: image.manifest.digest }, [
    signed(key, payloadFor(image.manifest.digest, `${server.host}/app`)),
  ]);
  await pull('strict');
  const asked = server.requests.length;
  t.truthy(await make('strict'));
  await daemon.restart();
  t.truthy(await make('strict'));
  t.is(server.requests.length, asked, 'containers are judged without a registry');
});

test.serial('an image that a container mounts is judged too', async (t) => {
  const other = makeImage([{ volume: 'v' }]);
  server.push('volume', 'v1', other);
  const volume = `${server.host}/volume:v1`;
  const sandbox_config = { metadata: { name: 'a', namespace: 'lax', uid: 'u', attempt: 0 } };
  await daemon.image.PullImage({ image: { image: volume }, sandbox_config });
  const pod = await runPod(daemon, { metadata: { name: 'mounts', namespace: 'strict', uid: 'm', attempt: 0 } });
  const config = containerConfig({
    image: { image: `${server.host}/app:v1` },
    mounts: [{ container_path: '/v', image: { image: volume }, readonly: true }],
  });
  const made = daemon.runtime.CreateContainer({ pod_sandbox_id: pod.id, config, sandbox_config: pod.config });
  await refused(t, made, /volume:v1 is not allowed in namespace strict/);
});

test.serial('verdicts are counted', async (t) => {
  const text = await (await fetch(daemon.metricsUrl)).text();
  t.regex(text, /podwright_image_verdicts_total\{at="create",verdict="rejected"\} 1/);
  t.regex(text, /podwright_image_verdicts_total\{at="create",verdict="accepted"\} \d/);
});

endsWithoutResidue(test, daemon);
