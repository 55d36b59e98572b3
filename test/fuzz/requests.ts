// Arbitrary requests: right ones with a few random fields, and random ones as a whole.
import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { criEnum, criFields, requestType } from '../../src/cri/reflection.ts';
import type { FieldDescriptor } from '../../src/cri/field-check.ts';
import type { ServiceName } from '../../src/proto/cri-codec.ts';
import { baseOf } from '../bad-input/requests.ts';
import { samples } from '../bad-input/rows.ts';
import { type Place, places, requestWith, served } from '../bad-input/walk.ts';
import { Later } from './live.ts';
import { type Ground, reaching, tamed } from './place.ts';
import { fieldValues, scalarValues } from './values.ts';

/** A request before its ids are known. */
export interface Draft {
  readonly service: ServiceName;
  readonly method: string;
  readonly request: object;
  /** Milliseconds after which the caller gives up; null: it waits. */
  readonly cancelAfterMs: number | null;
}

/** How often an RPC is asked for; 2 for the others. */
const weights: Readonly<Record<string, number>> = {
  RunPodSandbox: 5,
  CreateContainer: 20,
  StartContainer: 14,
  StopContainer: 6,
  RemoveContainer: 4,
  StopPodSandbox: 1,
  RemovePodSandbox: 1,
  RemoveImage: 1,
  ExecSync: 10,
  UpdateContainerResources: 6,
  ContainerStatus: 6,
  PullImage: 4,
};

type Value = fc.Arbitrary<unknown>;

/** Arbitraries of messages and fields over one ground. */
class Arbitraries {
  readonly #fields: Readonly<Record<string, Value>>;

  constructor(ground: Ground) {
    this.#fields = fieldValues(ground);
  }

  field(type: string, field: FieldDescriptor): Value {
    const own = this.#fields[`${type}.${field.name}`];
    if (own) return own;
    if (field.type === 'string' && reaching.test(field.name)) {
      throw new TypeError(`${type}.${field.name} reaches the host: give it values in test/fuzz/values.ts`);
    }
    const one = this.#one(field);
    if (field.map) return fc.dictionary(fc.string({ maxLength: 8 }), one as fc.Arbitrary<string>, { maxKeys: 3 });
    return field.repeated ? fc.array(one, { maxLength: 3 }) : one;
  }

  #one({ type }: FieldDescriptor): Value {
    const values = criEnum(type);
    if (values) {
      const names = fc.constantFrom(...Object.keys(values));
      return fc.oneof({ weight: 12, arbitrary: names }, { weight: 1, arbitrary: fc.integer({ min: -1, max: 9999 }) });
    }
    if (criFields(type) === null) return scalarValues[type] ?? fc.constant(0);
    return this.message(type, 0.35);
  }

  /** A message, each field of it there with a likelihood; what it cannot be without stands as its sample. */
  message(type: string, likelihood: number): fc.Arbitrary<object> {
    const fields = (criFields(type) ?? []).filter(({ type: t }) => !t.startsWith('Windows'));
    const entries = fields.map((field) => {
      const value = fc.oneof(
        { weight: Math.round(likelihood * 100), arbitrary: this.field(type, field) },
        { weight: Math.round((1 - likelihood) * 100), arbitrary: fc.constant(undefined) },
      );
      return [field.name, value] as const;
    });
    return fc.record(Object.fromEntries(entries)).map((message) => ({
      ...samples[type],
      ...Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined)),
    }));
  }
}

const world = (ground: Ground) => ({
  sandboxId: 'later',
  running: 'later',
  image: ground.image,
  logs: `${ground.dir}/logs`,
});

/** A request that would be right, about whatever lives when it is sent. */
function rightOne(method: string, ground: Ground, nth: number): object {
  const request: Record<string, unknown> = { ...baseOf(method, world(ground)) };
  if ('pod_sandbox_id' in request) request['pod_sandbox_id'] = new Later('sandbox', nth, 64);
  if ('container_id' in request) request['container_id'] = new Later('container', nth, 64);
  const places = { location: 'checkpoint.tar', output_path: 'checkpoint', checkpoint_path: 'checkpoint' };
  for (const [key, name] of Object.entries(places)) if (key in request) request[key] = `${ground.dir}/${name}`;
  return request;
}

/** What a random whole must not lack to be more than refused at its first field. */
function named(request: Record<string, unknown>): object {
  const config = request['config'];
  if (typeof config !== 'object' || config === null) return request;
  const metadata = {
    ...(config as { metadata?: object }).metadata,
    name: `fuzz-${randomUUID()}`,
    namespace: 'fuzz',
    uid: randomUUID(),
  };
  return { ...request, config: { ...config, metadata } };
}

/** Mostly none or one: a request that is refused for its first field shows nothing of what is behind. */
function someOf<T>(all: readonly fc.Arbitrary<T>[]): fc.Arbitrary<T[]> {
  if (all.length === 0) return fc.constant<T[]>([]);
  const array = (length: number): fc.Arbitrary<T[]> =>
    fc.array(fc.oneof(...all), { minLength: length, maxLength: length });
  return fc.oneof(
    { weight: 5, arbitrary: fc.constant<T[]>([]) },
    { weight: 6, arbitrary: array(1) },
    { weight: 3, arbitrary: array(2) },
    { weight: 1, arbitrary: array(4) },
  );
}

function draftsOf(service: ServiceName, method: string, ground: Ground): fc.Arbitrary<object> {
  const arbitraries = new Arbitraries(ground);
  const own = places().filter((place) => place.service === service && place.method === method);
  const changes = own.map((place) =>
    arbitraries.field(place.type, place.field).map((value): [Place, unknown] => [place, value]),
  );
  const whole = arbitraries
    .message(requestType(service, method), 0.5)
    .map((request) => named(request as Record<string, unknown>));
  const odd = fc
    .tuple(fc.nat(64), someOf(changes))
    .map(([nth, put]) =>
      put.reduce<object>(
        (request, [place, value]) => requestWith(request, place, { value }),
        rightOne(method, ground, nth),
      ),
    );
  return fc
    .oneof({ weight: 9, arbitrary: odd }, { weight: 1, arbitrary: whole })
    .map((request) => tamed(request) as object);
}

/** Any request of any served RPC. */
export function drafts(ground: Ground): fc.Arbitrary<Draft> {
  const all = served.map(([service, method]) => ({
    weight: weights[method] ?? 2,
    arbitrary: fc.record({
      service: fc.constant(service),
      method: fc.constant(method),
      request: draftsOf(service, method, ground),
      cancelAfterMs: fc.oneof({ weight: 30, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(300) }),
    }),
  }));
  return fc.oneof(...all);
}
