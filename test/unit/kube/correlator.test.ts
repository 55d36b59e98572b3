import test from 'ava';
import { Correlator, correlatorBounds, type Decision } from '../../../src/kube/correlator.ts';
import type { EventDraft } from '../../../src/kube/news.ts';

const draft = (message: string, pod = 'web'): EventDraft => ({
  pod: { namespace: 'shop', name: pod, uid: `u-${pod}` },
  container: 'main',
  type: 'Warning',
  reason: 'OOMKilling',
  message,
  atMs: 0,
});

/** Decides and, as the sender would, remembers what was made. */
function sent(correlator: Correlator, one: EventDraft, nowMs: number): Decision {
  const decision = correlator.decide(one, nowMs);
  if (decision.type === 'create') correlator.made(decision.key, `name of ${one.message}`);
  return decision;
}

test('the same again raises the count of what was made', (t) => {
  const correlator = new Correlator(0);
  t.is(sent(correlator, draft('a'), 0).type, 'create');
  t.like(sent(correlator, draft('a'), 1), { type: 'count', name: 'name of a', count: 2 });
  t.like(sent(correlator, draft('a'), 2), { type: 'count', count: 3 });
  t.is(sent(correlator, draft('b'), 3).type, 'create');
  t.is(sent(correlator, draft('a', 'other'), 3).type, 'create', 'of another pod');
});

test('what was not made, or is gone, is made again', (t) => {
  const correlator = new Correlator(0);
  t.is(correlator.decide(draft('a'), 0).type, 'create');
  const second = correlator.decide(draft('a'), 0);
  t.is(second.type, 'create', 'the first was refused');
  if (second.type !== 'create') return;
  correlator.made(second.key, 'n');
  t.is(correlator.decide(draft('a'), 0).type, 'count');
  correlator.gone(second.key);
  t.is(correlator.decide(draft('a'), 0).type, 'create');
});

test('many different messages of one reason share one object', (t) => {
  const correlator = new Correlator(0);
  for (let i = 0; i < correlatorBounds.similar; i += 1) t.is(sent(correlator, draft(`m${i}`), 0).type, 'create');
  const first = sent(correlator, draft('one more'), 0);
  t.is(first.type, 'create');
  t.like(first, { draft: { message: '(combined from similar events): one more' } });
  t.like(sent(correlator, draft('yet another'), 0), {
    type: 'count',
    draft: { message: '(combined from similar events): yet another' },
  });
  t.is(sent(correlator, draft('m0'), 0).type, 'count', 'those that were told keep their own');
  const later = correlatorBounds.similarMs + 1;
  t.like(sent(correlator, draft('much later'), later), { type: 'create', draft: { message: 'much later' } });
});

test('one object earns events slowly', (t) => {
  const correlator = new Correlator(0, { ...correlatorBounds, nodeBurst: 1000 });
  const allowed = Array.from({ length: 40 }, () => sent(correlator, draft('a'), 0)).filter((d) => d.type !== 'drop');
  t.is(allowed.length, correlatorBounds.objectBurst);
  t.is(sent(correlator, draft('a', 'other'), 0).type, 'create', 'others have their own');
  t.is(sent(correlator, draft('a'), correlatorBounds.objectRefillMs - 1).type, 'drop');
  t.like(sent(correlator, draft('a'), correlatorBounds.objectRefillMs), { type: 'count', count: 42 });
});

test('the node as a whole earns events too', (t) => {
  const correlator = new Correlator(0);
  const decide = (i: number, nowMs: number): string => sent(correlator, draft('a', `pod-${i}`), nowMs).type;
  const all = Array.from({ length: 80 }, (_, i) => decide(i, 0));
  t.is(all.filter((type) => type === 'create').length, correlatorBounds.nodeBurst);
  t.is(decide(100, correlatorBounds.nodeRefillMs), 'create');
  t.is(decide(101, correlatorBounds.nodeRefillMs), 'drop');
});

test('a clock that goes back earns nothing and breaks nothing', (t) => {
  const correlator = new Correlator(1000, { ...correlatorBounds, objectBurst: 1 });
  t.is(sent(correlator, draft('a'), 1000).type, 'create');
  t.is(sent(correlator, draft('a'), 0).type, 'drop');
  t.is(sent(correlator, draft('a'), correlatorBounds.objectRefillMs).type, 'count');
});

test('what is remembered is bounded', (t) => {
  const correlator = new Correlator(0, { ...correlatorBounds, most: 2, nodeBurst: 1000 });
  for (const pod of ['a', 'b', 'c']) sent(correlator, draft('x', pod), 0);
  t.is(sent(correlator, draft('x', 'c'), 0).type, 'count');
  t.is(sent(correlator, draft('x', 'a'), 0).type, 'create', 'forgotten');
});
