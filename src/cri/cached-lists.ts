// The lists that are asked for every second, and their streamed forms: they share the kept encodings.
// Must not know filters.
import type { Container } from '../container/container.ts';
import { criMessage } from '../proto/cri-codec.ts';
import type { SandboxView } from '../sandbox/sandbox.ts';
import { encodeContainer } from './convert/container.ts';
import { encodeSandbox } from './convert/sandbox.ts';
import { EncodedList } from './encoded-list.ts';

/** Items of ListContainers and StreamContainers. */
export const containerList = new EncodedList<Container>({
  identity: (container) => container,
  variant: () => 0,
  encode: (container) => criMessage('Container').serialize(encodeContainer(container)),
});

/** Items of ListPodSandbox and StreamPodSandboxes. */
export const sandboxList = new EncodedList<SandboxView>({
  identity: ({ sandbox }) => sandbox,
  // the state depends on the monitor too, not only on the record
  variant: ({ state }) => (state === 'ready' ? 0 : 1),
  encode: (view) => criMessage('PodSandbox').serialize(encodeSandbox(view)),
});
