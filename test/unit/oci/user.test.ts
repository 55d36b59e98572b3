import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { resolveUser, type UserRequest } from '../../../src/oci/user.ts';

const files = {
  passwd:
    'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/false\nbroken\n#c\napp:x:1000:1000::/home/app:/bin/sh\n',
  group: 'root:x:0:\nwww:x:34:\nextra:x:500:web,app\nimg:x:50000:app\n',
};
const none: UserRequest = {
  runAsUser: null,
  runAsUsername: '',
  runAsGroup: null,
  supplementalGroups: [],
  policy: 'merge',
  imageUser: '',
};

const cases: [string, Partial<UserRequest>, { uid: number; gid: number; groups: number[]; home: string }][] = [
  ['nobody asked: root', {}, { uid: 0, gid: 0, groups: [0], home: '/root' }],
  ['image by number', { imageUser: '33' }, { uid: 33, gid: 34, groups: [34, 500], home: '/var/www' }],
  ['image by name', { imageUser: 'web' }, { uid: 33, gid: 34, groups: [34, 500], home: '/var/www' }],
  ['image number:group', { imageUser: '1003:1004' }, { uid: 1003, gid: 1004, groups: [1004], home: '/' }],
  ['image name:groupname', { imageUser: 'web:extra' }, { uid: 33, gid: 500, groups: [500], home: '/var/www' }],
  ['number not in passwd: gid 0', { runAsUser: 4242 }, { uid: 4242, gid: 0, groups: [0], home: '/' }],
  [
    'request beats image',
    { runAsUser: 33, imageUser: 'app' },
    { uid: 33, gid: 34, groups: [34, 500], home: '/var/www' },
  ],
  ['name', { runAsUsername: 'app' }, { uid: 1000, gid: 1000, groups: [1000, 500, 50000], home: '/home/app' }],
  [
    'group overrides',
    { runAsUser: 1000, runAsGroup: 7 },
    { uid: 1000, gid: 7, groups: [7, 500, 50000], home: '/home/app' },
  ],
  [
    'merge adds',
    { runAsUser: 1000, supplementalGroups: [9, 500] },
    { uid: 1000, gid: 1000, groups: [1000, 500, 50000, 9], home: '/home/app' },
  ],
  [
    'strict takes the list only',
    { runAsUser: 1000, supplementalGroups: [9], policy: 'strict' },
    { uid: 1000, gid: 1000, groups: [1000, 9], home: '/home/app' },
  ],
];
for (const [name, request, expected] of cases) {
  test(name, (t) => t.deepEqual(resolveUser({ ...none, ...request }, files), expected));
}

const refusals: [string, Partial<UserRequest>, RegExp][] = [
  ['both forms', { runAsUser: 1, runAsUsername: 'a' }, /exclude/],
  ['group without user', { runAsGroup: 1 }, /needs run_as_user/],
  ["group with the image's user only", { runAsGroup: 1, imageUser: 'web' }, /needs run_as_user/],
  ['unknown name', { runAsUsername: 'ghost' }, /ghost is not in/],
  ['unknown group of the image', { imageUser: 'web:ghosts' }, /ghosts is not in/],
];
for (const [name, request, message] of refusals) {
  test(`refused: ${name}`, (t) =>
    void t.throws(() => resolveUser({ ...none, ...request }, files), { instanceOf: Failure, message }));
}

test('an image without the files knows numbers only', (t) => {
  t.is(resolveUser({ ...none, imageUser: '7:8' }, { passwd: null, group: null }).gid, 8);
  t.throws(() => resolveUser({ ...none, imageUser: 'web' }, { passwd: null, group: null }));
});
