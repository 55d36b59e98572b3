// Ports with steps: what is labelled, when, and that nothing stands between without them.
import test from 'ava';
import { noStep, withSteps } from '../../../src/lib/steps.ts';

class Port {
  #count = 0;
  readonly name = 'port';
  async change(by: number): Promise<number> {
    return (this.#count += by);
  }
  put(to: number): void {
    this.#count = to;
  }
  get count(): number {
    return this.#count;
  }
  look(): number {
    return this.#count;
  }
}

const effects = { name: 'port', later: ['change'], atOnce: ['put'] } as const;

test('effects are told before and after, looks are not', async (t) => {
  const passed: string[] = [];
  const port = withSteps(new Port(), effects, (label) => void passed.push(`${label} at ${plain.count}`));
  const plain = port;
  t.is(await port.change(2), 2);
  port.put(5);
  t.is(port.look(), 5);
  t.is(port.count, 5);
  t.is(port.name, 'port');
  t.deepEqual(passed, ['port.change at 0', 'port.change done at 2', 'port.put at 2', 'port.put done at 5']);
});

test('a step that fails is a failure of the call, before its effect or after it', async (t) => {
  let failing = '';
  const port = withSteps(new Port(), effects, (label) => {
    if (label === failing) throw new Error(label);
  });
  failing = 'port.change';
  const promise = port.change(1); // answered by a promise, not thrown
  await t.throwsAsync(promise, { message: 'port.change' });
  t.is(port.count, 0);
  failing = 'port.change done';
  await t.throwsAsync(port.change(1), { message: 'port.change done' });
  t.is(port.count, 1);
  failing = 'port.put';
  t.throws(() => port.put(7), { message: 'port.put' });
  t.is(port.count, 1);
});

test('without steps a port is itself', (t) => {
  const port = new Port();
  t.is(withSteps(port, effects, noStep), port);
});
