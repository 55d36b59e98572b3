// OOM kills: counted by kind, kept by container, told to listeners.
import test from 'ava';
import { OomNews } from '../../../src/events/oom-kills.ts';
import { oomLimitOf, type OomKill } from '../../../src/lib/oom.ts';

const kill = (wish: Partial<OomKill>): OomKill => ({
  sandboxId: 's',
  containerId: 'c',
  kills: 1,
  newKills: 1,
  main: false,
  limit: 'own',
  limitBytes: 4096,
  at: 1n,
  ...wish,
});

test('kills are counted by who was killed and whose limit it was', (t) => {
  const news = new OomNews();
  news.publish(kill({}));
  news.publish(kill({ kills: 4, newKills: 3, main: true }));
  news.publish(kill({ containerId: 'd', limit: 'pod', main: true }));
  t.deepEqual(news.counts(), [
    { process: 'child', limit: 'own', count: 3 },
    { process: 'main', limit: 'own', count: 1 },
    { process: 'main', limit: 'pod', count: 1 },
  ]);
});

test('what was told of a container is known until it is gone', (t) => {
  const news = new OomNews();
  t.is(news.of('c'), null);
  news.publish(kill({ kills: 2, limit: 'pod', limitBytes: 9 }));
  t.deepEqual(news.of('c'), { kills: 2, limit: 'pod', limitBytes: 9 });
  news.forget('c');
  t.is(news.of('c'), null);
});

test('listeners hear of each kill until they leave', (t) => {
  const news = new OomNews();
  const heard: string[] = [];
  const leave = news.subscribe(({ containerId }) => void heard.push(containerId));
  news.publish(kill({}));
  leave();
  news.publish(kill({ containerId: 'd' }));
  t.deepEqual(heard, ['c']);
});

test('limits by their names in the protocol', (t) => {
  t.deepEqual(
    ['OWN', 'POD', 'ABOVE', 'NODE', 'UNKNOWN', 'NEWER', ''].map((name) => oomLimitOf(name)),
    ['own', 'pod', 'above', 'node', 'unknown', 'unknown', 'unknown'],
  );
});
