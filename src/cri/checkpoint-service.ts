// The rows of RuntimeService that capture containers and bring them back. Must hold nothing else.
import type { RuntimeServiceDefinition } from '../proto/generated/cri/runtime/v1/RuntimeService.ts';
import {
  decodeCheckpointContainer,
  decodeCheckpointPod,
  decodeRestorePod,
  encodeRestoredPod,
} from './convert/checkpoint.ts';
import { aContainer, aSandbox, mutating } from './row.ts';
import type { Table } from './table.ts';
import type { RuntimeVerbs } from './verbs.ts';

/** CheckpointContainer, CheckpointPod, RestorePod. */
export const checkpoints = {
  CheckpointContainer: {
    ...mutating,
    subject: (request) => ({ ...aContainer(request), location: request.location }),
    async serve(request, verbs, context) {
      await verbs.checkpointContainer(decodeCheckpointContainer(request), context);
      return {};
    },
  },
  CheckpointPod: {
    ...mutating,
    subject: (request) => ({ ...aSandbox(request), outputPath: request.output_path }),
    async serve(request, verbs, context) {
      await verbs.checkpointPod(decodeCheckpointPod(request), context);
      return {};
    },
  },
  RestorePod: {
    ...mutating,
    subject: ({ config, checkpoint_path }) => ({
      pod: config?.metadata?.name ?? '',
      namespace: config?.metadata?.namespace ?? '',
      checkpointPath: checkpoint_path,
    }),
    serve: async (request, verbs, context) =>
      encodeRestoredPod(await verbs.restorePod(decodeRestorePod(request), context)),
  },
} satisfies Table<RuntimeVerbs, RuntimeServiceDefinition>;
