import test from 'ava';
import { parseChallenges } from '../../../src/registry/challenge.ts';

test('one bearer challenge', (t) => {
  t.deepEqual(parseChallenges('Bearer realm="https://a/token",service="a b",scope="repository:x/y:pull,push"'), [
    { scheme: 'bearer', parameters: { realm: 'https://a/token', service: 'a b', scope: 'repository:x/y:pull,push' } },
  ]);
});

test('several challenges in one value', (t) => {
  t.deepEqual(parseChallenges('Basic realm="a", Bearer realm="b" , service=c,Negotiate'), [
    { scheme: 'basic', parameters: { realm: 'a' } },
    { scheme: 'bearer', parameters: { realm: 'b', service: 'c' } },
    { scheme: 'negotiate', parameters: {} },
  ]);
});

test('quotes, case and blanks', (t) => {
  t.deepEqual(parseChallenges('BEARER Realm = "a\\"b" ,, X=1'), [
    { scheme: 'bearer', parameters: { realm: 'a"b', x: '1' } },
  ]);
});

test('what cannot be read ends the list', (t) => {
  t.deepEqual(parseChallenges(''), []);
  t.deepEqual(parseChallenges('"what"'), []);
  t.deepEqual(parseChallenges('Bearer realm="open'), [{ scheme: 'bearer', parameters: { realm: 'open' } }]);
  t.deepEqual(parseChallenges('Bearer realm='), [{ scheme: 'bearer', parameters: { realm: '' } }]);
});
