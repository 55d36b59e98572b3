// A few hundred inputs for each parser, the same at each run; others, and more of them: hack/fuzz parsers.
import test from 'ava';
import * as fc from 'fast-check';
import { targets } from '../../fuzz/parsers/targets.ts';

for (const { name, property } of targets) {
  test(`${name}: answers, or blames the right one`, async (t) => {
    await fc.assert(property, { numRuns: 300, seed: 4711 });
    t.pass();
  });
}
