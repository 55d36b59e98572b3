// Lets the codec compile its functions for the messages of a pod's start before the first one is asked for.
// Must not have effects.
import { criMessage } from '../proto/cri-codec.ts';
import { messagesWithin, requestType, responseType } from './reflection.ts';

const hot: readonly (readonly ['RuntimeService' | 'ImageService', string])[] = [
  ['RuntimeService', 'Version'],
  ['RuntimeService', 'Status'],
  ['RuntimeService', 'RunPodSandbox'],
  ['RuntimeService', 'PodSandboxStatus'],
  ['RuntimeService', 'ListPodSandbox'],
  ['ImageService', 'ImageStatus'],
  ['RuntimeService', 'CreateContainer'],
  ['RuntimeService', 'StartContainer'],
  ['RuntimeService', 'ContainerStatus'],
  ['RuntimeService', 'ListContainers'],
  ['RuntimeService', 'ExecSync'],
  ['RuntimeService', 'StopContainer'],
  ['ImageService', 'PullImage'],
  ['ImageService', 'ListImages'],
  ['RuntimeService', 'ListContainerStats'],
];

/** Compiles one message a turn of the event loop, so that no call waits for more than one. */
export function warmUp(): void {
  const types = new Set<string>();
  for (const [service, method] of hot) {
    messagesWithin(requestType(service, method), types);
    messagesWithin(responseType(service, method), types);
  }
  const names = [...types].filter((name) => !name.startsWith('Windows'));
  const next = (): void => {
    const name = names.shift();
    if (name === undefined) return;
    const codec = criMessage(name);
    codec.deserialize(codec.serialize({}));
    setImmediate(next).unref();
  };
  setImmediate(next).unref();
}
