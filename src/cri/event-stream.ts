// The messages of GetContainerEvents: each event is encoded once, however many read it.
import { criMessage } from '../proto/cri-codec.ts';
import { encodeEvent } from './convert/events.ts';
import type { ContainerEvent, RuntimeVerbs } from './verbs.ts';

const response = criMessage('ContainerEventResponse');
const encodings = new WeakMap<ContainerEvent, Buffer>();

function encoded(event: ContainerEvent): Buffer {
  const known = encodings.get(event);
  if (known) return known;
  const made = Buffer.from(response.serialize(encodeEvent(event)));
  encodings.set(event, made);
  return made;
}

/**
 * Everything from now on. Not a generator: ending one that waits for an event would wait for that event.
 */
export function eventMessages(subscribe: RuntimeVerbs['containerEvents']): AsyncIterableIterator<Buffer, undefined> {
  const events = subscribe((event) => encoded(event).byteLength);
  return {
    async next() {
      const next = await events.next();
      return next.done === true ? next : { done: false, value: encoded(next.value) };
    },
    async return() {
      await events.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
