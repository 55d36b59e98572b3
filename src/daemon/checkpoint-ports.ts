// What checkpoints and restores are given: the facts of a container that a monitor needs, criu, the verbs they stand on.
import { randomBytes } from 'node:crypto';
import { version } from '../config/version.ts';
import type { Container } from '../container/container.ts';
import { checkpointContainer } from '../container/checkpoint.ts';
import { createContainer } from '../container/create.ts';
import type { RuntimeVerbs } from '../cri/verbs.ts';
import { failedPrecondition } from '../lib/failure.ts';
import { captured, externalMounts } from '../oci/captured.ts';
import type { OciSpec } from '../oci/types.ts';
import { checkpointPod } from '../sandbox/checkpoint.ts';
import { restorePod } from '../sandbox/restore.ts';
import { runSandbox } from '../sandbox/run.ts';
import type { Config } from '../config/schema.ts';
import type { Paths } from '../paths.ts';
import type { Storage } from '../storage/storage.ts';
import type { Pods } from './live.ts';

export interface CheckpointParts {
  readonly pods: Pods;
  readonly config: Config;
  readonly paths: Paths;
  readonly images: { readonly storage: Pick<Storage, 'snapshots'> };
}

const runtime = `podwright ${version}`;

/** Unix nanoseconds as RFC 3339. */
const rfc3339 = (nanos: bigint): string => new Date(Number(nanos / 1_000_000n)).toISOString();

const json = (value: object): Buffer => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);

/** What tools that look at checkpoints read (checkpointctl): podman's and CRI-O's `config.dump`, containerd's `status.dump`. */
function dumps({ identity, status }: Container) {
  const { config, imageRef } = identity;
  const about = {
    id: identity.id,
    name: config.metadata.name,
    rootfsImage: identity.imageId,
    rootfsImageRef: imageRef,
    rootfsImageName: config.image.userSpecifiedImage || config.image.image,
    runtime,
    createdTime: rfc3339(identity.createdAt),
    checkpointedTime: new Date().toISOString(),
  };
  const state = {
    CreatedAt: Number(identity.createdAt),
    StartedAt: Number(status.startedAt),
    FinishedAt: 0,
    ExitCode: 0,
    Pid: status.pid,
    Reason: '',
    Message: '',
  };
  return [
    { name: 'config.dump', content: json(about) },
    { name: 'status.dump', content: json(state) },
  ];
}

function portsOf({ pods, config, paths, images }: CheckpointParts) {
  const { files, sandboxes } = pods;

  function captureOf(container: Container) {
    const { id, sandboxId, imageId } = container.identity;
    const spec = files.readBundle(id) as OciSpec | null;
    if (spec === null) throw failedPrecondition(`container ${id} has lost its bundle: it cannot be captured`);
    const pod = sandboxes.get(sandboxId)?.identity.config;
    const own = pod?.security.namespaces.network !== 'node' && pod?.hostname !== '';
    const hostname = own && pod ? pod.hostname : files.hostFiles().hostname;
    return {
      target: {
        containerId: id,
        directory: '',
        bundle: files.bundleDir(id),
        upper: `${images.storage.snapshots.dir(id)}/upper`,
        external: externalMounts(spec),
        files: dumps(container),
      },
      captured: captured(spec, { image: imageId, hostname }),
    };
  }

  return {
    locks: pods.locks,
    monitors: pods.requests,
    captureOf,
    criu: config.checkpoint.criu,
    newStaging: () => `${paths.checkpointsDir}/${randomBytes(8).toString('hex')}`,
  };
}

/** CheckpointContainer, CheckpointPod and RestorePod. */
export function checkpointVerbs(
  parts: CheckpointParts,
): Pick<RuntimeVerbs, 'checkpointContainer' | 'checkpointPod' | 'restorePod'> {
  const { pods } = parts;
  const { containers, sandboxes, containersOf } = pods;
  const ports = portsOf(parts);
  return {
    checkpointContainer: (input, { signal }) =>
      checkpointContainer({ ...ports, records: containers, sandboxes }, input, signal),
    checkpointPod: (input, { signal }) =>
      checkpointPod({ ...ports, records: sandboxes, containers, runtime, nowMs: Date.now }, input, signal),
    restorePod: (input, context) =>
      restorePod(
        {
          ...ports,
          runSandbox: (sandbox, caller) => runSandbox(pods.runPorts, sandbox, caller),
          createContainer: (container, caller) => createContainer(pods.createPorts, container, caller),
          containersOf,
          runtimes: pods.runPorts.runtimes,
          teardown: pods.teardownSandbox,
        },
        input,
        context,
      ),
  };
}
