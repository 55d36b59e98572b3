import test from 'ava';
import { type AuthConfig, bindCredentials, canonicalHost } from '../../../src/registry/credentials.ts';

const none: AuthConfig = {
  username: '',
  password: '',
  auth: '',
  serverAddress: '',
  identityToken: '',
  registryToken: '',
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');

test('hosts are compared by one spelling', (t) => {
  for (const [address, host] of [
    ['https://index.docker.io/v1/', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['https://Reg.Example:443/v2', 'reg.example'],
    ['http://reg.example:80', 'reg.example'],
    ['reg.example:5000', 'reg.example:5000'],
    ['http://reg.example:443', 'reg.example:443'],
    ['127.0.0.1:5000/path', '127.0.0.1:5000'],
  ] as const) {
    t.is(canonicalHost(address), host, address);
  }
});

test('every form of AuthConfig', (t) => {
  const of = (auth: Partial<AuthConfig> | null) => bindCredentials(auth && { ...none, ...auth }, 'r.io').credentials;
  t.deepEqual(of(null), { type: 'anonymous' });
  t.deepEqual(of({}), { type: 'anonymous' });
  t.deepEqual(of({ username: 'u', password: 'p' }), { type: 'basic', username: 'u', password: 'p' });
  t.deepEqual(of({ auth: base64('u:p:q') }), { type: 'basic', username: 'u', password: 'p:q' });
  t.deepEqual(of({ auth: base64('u:p\0\0') }), { type: 'basic', username: 'u', password: 'p' });
  t.deepEqual(of({ identityToken: 'i', username: 'u' }), { type: 'identity', token: 'i' });
  t.deepEqual(of({ registryToken: 'r', identityToken: 'i' }), { type: 'bearer', token: 'r' });
});

test('bound to the server address, else to the registry', (t) => {
  t.is(bindCredentials({ ...none, username: 'u' }, 'r.io').host, 'r.io');
  t.is(bindCredentials({ ...none, username: 'u', serverAddress: 'https://other.io/v1/' }, 'r.io').host, 'other.io');
});

test('a bad auth is refused without showing it', (t) => {
  for (const auth of ['%%%', base64('nocolon')]) {
    const error = t.throws(() => bindCredentials({ ...none, auth }, 'r.io'));
    t.false(error.message.includes(auth));
    t.regex(error.message, /auth\.auth/);
  }
  t.throws(() => bindCredentials({ ...none, registryToken: 'a\nb' }, 'r.io'), { message: /registry_token/ });
});
