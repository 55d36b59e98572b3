// What daemons and monitors of earlier releases said to each other is read today as it was meant, and what is written today
// they would read (ruling 11). Recorded by hack/record-monitor.
import test from 'ava';
import { recordings, type Recording, type Schema } from '../../recordings/recording.ts';
import { incompatibilities } from '../../recordings/schema.ts';
import { decodeFrame, encodeFrame, type FrameObject, type ReceivedFrame } from '../../../src/proto/monitor-codec.ts';
import today from '../../../src/proto/generated/monitor.json' with { type: 'json' };

const all = recordings();

/** Frames of a recording. */
const framesOf = ({ lines }: Recording): Buffer[] =>
  lines.flatMap(({ frame }) => (frame === undefined ? [] : [Buffer.from(frame, 'base64')]));

/** Calls, answers or events that a schema has, by name. */
function kindsOf({ schema }: Recording, message: string, oneof: string): string[] {
  const { nested } = schema as {
    nested: { podwright: { nested: { monitor: { nested: { v1: { nested: object } } } } } };
  };
  const messages = nested.podwright.nested.monitor.nested.v1.nested as Record<
    string,
    { oneofs: Record<string, { oneof: string[] }> }
  >;
  return messages[message]?.oneofs[oneof]?.oneof ?? [];
}

/** What a value would be to a reader that does not know the fields of a later release. */
function known(value: unknown, like: unknown): unknown {
  if (Buffer.isBuffer(like) || typeof like !== 'object' || like === null) return value;
  if (Array.isArray(like)) return (value as unknown[]).map((each, at) => known(each, like[at]));
  return Object.fromEntries(
    Object.entries(like).map(([key, of]) => [key, known((value as Record<string, unknown>)[key], of)]),
  );
}

test('there is a recording', (t) => {
  t.true(all.length > 0);
});

for (const recording of all) {
  const { facts, codec, schema } = recording;
  const title = (what: string): string => `${facts.version}: ${what}`;

  test(title('all of its protocol is in the one of today, under the same numbers and types'), (t) => {
    t.deepEqual(incompatibilities(schema as object, today as object), []);
  });

  test(title('every frame is read as it was meant'), (t) => {
    for (const bytes of framesOf(recording)) {
      const meant = codec.decode(bytes);
      t.deepEqual(known(decodeFrame(bytes), meant), { ...meant });
    }
  });

  test(title('every frame written today is read by it as meant'), (t) => {
    for (const bytes of framesOf(recording)) {
      const meant: ReceivedFrame = codec.decode(bytes);
      t.deepEqual(codec.decode(encodeFrame(meant as FrameObject)), meant);
    }
  });

  test(title('the recording has every call and every kind of answer'), (t) => {
    const seen = new Set<string>();
    for (const bytes of framesOf(recording)) {
      const { request, response, event } = codec.decode(bytes);
      seen.add(`request ${request?.call}`).add(`response ${response?.result}`).add(`event ${event?.event}`);
    }
    const wanted = [
      ...kindsOf(recording, 'Request', 'call').map((name) => `request ${name}`),
      ...kindsOf(recording, 'Response', 'result').map((name) => `response ${name}`),
      'event exit',
      'event oom',
    ];
    t.true(wanted.length > 30);
    t.deepEqual(
      wanted.map(camel).filter((each) => !seen.has(each)),
      [],
    );
  });
}

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Copies the schema of today and changes one message of it. */
function changed(change: (v1: Record<string, { fields: Record<string, object>; values: object }>) => void): string[] {
  const copy = structuredClone(today) as unknown as Schema;
  const { v1 } = (copy as { nested: { podwright: { nested: { monitor: { nested: { v1: { nested: never } } } } } } })
    .nested.podwright.nested.monitor.nested as unknown as { v1: { nested: never } };
  change(v1.nested);
  return incompatibilities(today as object, copy as object);
}

const changes: readonly [string, Parameters<typeof changed>[0], RegExp][] = [
  ['a field that is gone', ({ Hello }) => void delete Hello?.fields['version'], /Hello\.version is gone/],
  [
    'another number',
    ({ ExitFact }) => void Object.assign(ExitFact?.fields['exitCode'] ?? {}, { id: 99 }),
    /ExitFact\.exitCode was "one int32 = 2" and is "one int32 = 99"/,
  ],
  [
    'another type',
    ({ ExitFact }) => void Object.assign(ExitFact?.fields['exitCode'] ?? {}, { type: 'sint32' }),
    /ExitFact\.exitCode was .*sint32/,
  ],
  ['a message that is gone', (v1) => void delete v1['Resize'], /Resize is gone/],
  [
    'another value of an enum',
    ({ NamespaceMode }) => void Object.assign(NamespaceMode?.values ?? {}, { NODE: 7 }),
    /NamespaceMode\.NODE was 2/,
  ],
];
for (const [what, change, said] of changes) {
  test(`a protocol with ${what} is told`, (t) => {
    const [first = '', ...more] = changed(change);
    t.regex(first, said);
    t.deepEqual(more, []);
  });
}

test('a protocol with more in it is none that is told', (t) => {
  t.deepEqual(
    changed(({ Hello }) => void Object.assign(Hello?.fields ?? {}, { more: { type: 'string', id: 77 } })),
    [],
  );
});
