import test from 'ava';
import {
  decodeMountIds,
  decodeUserNamespace,
  encodeMountIds,
  encodeUserNamespace,
} from '../../../src/cri/convert/user-namespace.ts';
import { Failure } from '../../../src/lib/failure.ts';

const one = { container_id: 0, host_id: 1000, length: 100 };
const decoded = { containerId: 0, hostId: 1000, length: 100 };
const pod = { mode: 'POD', uids: [one], gids: [one] } as const;

test('a range of each kind makes a user namespace, NODE is the host’s, nothing says nothing', (t) => {
  t.deepEqual(decodeUserNamespace('f', pod as never), { userns: { uids: decoded, gids: decoded } });
  t.deepEqual(decodeUserNamespace('f', { mode: 'NODE', uids: [], gids: [] }), { userns: null });
  t.deepEqual(decodeUserNamespace('f', null), {});
  const last = { container_id: 0, host_id: 0xffff_ffff - 10, length: 10 };
  t.notThrows(() => decodeUserNamespace('f', { mode: 'POD', uids: [last], gids: [last] }));
});

test('what goes in comes out', (t) => {
  t.deepEqual(encodeUserNamespace({ uids: decoded, gids: decoded }), pod as never);
  t.deepEqual(encodeUserNamespace(null), { mode: 'NODE' });
  const mount = { uidMappings: [one], gidMappings: [one] };
  t.deepEqual(encodeMountIds(decodeMountIds('f', mount).ids), mount);
  t.deepEqual(encodeMountIds(decodeMountIds('f', { uidMappings: [], gidMappings: [] }).ids), {});
});

for (const [what, change, message] of [
  ['no ids', { uids: [] }, /^f.uids is empty/],
  ['no group ids', { gids: [] }, /^f.gids is empty/],
  ['two ranges', { uids: [one, { ...one, container_id: 100 }] }, /^f.uids has 2 mappings/],
  ['id 0 not mapped', { uids: [{ ...one, container_id: 1 }] }, /^f.uids\[0\].container_id is 1: id 0/],
  ['no length', { gids: [{ ...one, length: 0 }] }, /^f.gids\[0\].length is 0/],
  ['different lengths', { gids: [{ ...one, length: 99 }] }, /^f.gids\[0\].length is 99/],
  ['above the largest id', { uids: [{ ...one, host_id: 0xffff_ffff - 99 }] }, /^f.uids\[0\].host_id and length/],
  ['all ids', { uids: [{ ...one, host_id: 0, length: 0xffff_ffff + 1 }] }, /^f.uids\[0\].container_id and length/],
  ['a mode of containers', { mode: 'CONTAINER' }, /^f.mode CONTAINER is not possible/],
  ['a target', { mode: 'TARGET' }, /^f.mode TARGET is not possible/],
  ['an unknown mode', { mode: 7 }, /^f.mode 7 is not possible/],
  ["ids of the host's", { mode: 'NODE', gids: [] }, /^f.uids are set, but mode is NODE/],
  ["group ids of the host's", { mode: 'NODE', uids: [] }, /^f.gids are set, but mode is NODE/],
] as const) {
  test(`refused: ${what}`, (t) => {
    const error = t.throws(() => decodeUserNamespace('f', { ...pod, ...change } as never), { instanceOf: Failure });
    t.is(error?.kind, 'invalid-argument');
    t.regex(error?.message ?? '', message);
  });
}

test('refused: ids of one kind for a mount', (t) => {
  t.throws(() => decodeMountIds('f', { uidMappings: [one], gidMappings: [] }), { message: /^f.gidMappings is empty/ });
  t.throws(() => decodeMountIds('f', { uidMappings: [], gidMappings: [one] }), { message: /^f.uidMappings is empty/ });
});
