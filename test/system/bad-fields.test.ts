// Each field of each request against its table of wrong values (test/bad-input), as a real daemon answers them.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import test from 'ava';
import { baseOf, neverRight, sandboxConfig, type World } from '../bad-input/requests.ts';
import type { Code } from '../bad-input/row.ts';
import { type Place, places, requestWith, rowsOf, served, whereOf } from '../bad-input/walk.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, pull, start, tools } from '../helpers/pods.ts';

const daemon = useDaemon(test);
const deadlineMs = 60_000;
let world: World;

test.before('a pod with a container that runs', async () => {
  await pull(daemon);
  const logs = join(daemon.dir, 'logs');
  mkdirSync(logs);
  world = { sandboxId: '', running: '', image: tools, logs };
  const config = sandboxConfig(world);
  const { pod_sandbox_id: id } = await daemon.runtime.RunPodSandbox({ config });
  world = { ...world, sandboxId: id, running: await start(daemon, { id, config }, containerConfig()) };
});

interface Answer {
  readonly code: Code;
  readonly details: string;
}

type AnyCalls = Readonly<
  Record<string, (request: object, options: object) => Promise<Readonly<Record<string, string>>>>
>;

/** Calls by name; what a success has made goes away again. */
async function ask({ service, method }: Pick<Place, 'service' | 'method'>, request: object): Promise<Answer> {
  const calls = (service === 'RuntimeService' ? daemon.runtime : daemon.image) as unknown as AnyCalls;
  // a stream that waits for what happens ends only with its caller
  const endless = method === 'GetContainerEvents';
  try {
    const answer = (await calls[method]?.(request, { deadlineMs: endless ? 500 : deadlineMs })) ?? {};
    const { container_id, pod_sandbox_id } = answer;
    if (method === 'CreateContainer' && container_id) await daemon.runtime.RemoveContainer({ container_id });
    if (method === 'RunPodSandbox' && pod_sandbox_id) await daemon.removePod(pod_sandbox_id);
    return { code: 'OK', details: '' };
  } catch (error) {
    const { code, details } = error as ServiceError;
    if (endless && code === grpcStatus.DEADLINE_EXCEEDED) return { code: 'OK', details };
    return { code: (grpcStatus[code] ?? String(error)) as Code, details: details ?? '' };
  }
}

test.serial('the requests that the wrong ones are made from are right', async (t) => {
  for (const [service, method] of served) {
    if (method in neverRight) continue;
    const { code, details } = await ask({ service, method }, baseOf(method, world));
    t.is(code, 'OK', `${method}: ${details}`);
  }
});

for (const [service, method] of served) {
  test.serial(`each wrong value of each field of ${method} answers what its table says`, async (t) => {
    const misread: string[] = [];
    // where nothing succeeds, a value that is fine, or that only a later step looks at, answers what the request itself does
    const hopeless = method in neverRight ? (await ask({ service, method }, baseOf(method, world))).code : null;
    for (const place of places().filter((each) => each.service === service && each.method === method)) {
      for (const row of rowsOf(place)) {
        const { code, details } = await ask(place, requestWith(baseOf(method, world), place, row));
        const expected: readonly Code[] = [row.code].flat();
        // containers are looked at when the pod is there
        const last = row.host === true || whereOf(place).startsWith('RestorePod container_configs');
        const later = code === hopeless && (last || expected.includes('OK'));
        if (!later && !expected.includes(code)) {
          misread.push(`${whereOf(place)}: ${row.because}: ${code} ${details.slice(0, 300)}`);
        }
      }
    }
    t.deepEqual(misread, []);
  });
}

test.serial('refused requests have changed nothing', async (t) => {
  const { items } = await daemon.runtime.ListPodSandbox({});
  t.deepEqual(
    items.map(({ id, state }) => [id, state]),
    [[world.sandboxId, 'SANDBOX_READY']],
  );
  const { containers } = await daemon.runtime.ListContainers({});
  t.deepEqual(
    containers.map(({ id, state }) => [id, state]),
    [[world.running, 'CONTAINER_RUNNING']],
  );
});

endsWithoutResidue(test, daemon);
