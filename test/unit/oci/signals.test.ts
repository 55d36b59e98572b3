import test from 'ava';
import { effectiveStopSignal, signalName, signalNumber } from '../../../src/oci/signals.ts';

test('every signal number has a name that leads back to it', (t) => {
  for (let number = 1; number <= 64; number += 1) t.is(signalNumber(signalName(number)), number);
});

test('a stop signal that an image gives can always be sent', (t) => {
  for (const text of ['TERM', 'sigquit', '9', '32', '33', 'SIGRTMIN+3', 'RTMAX-1', '64']) {
    t.is(signalNumber(effectiveStopSignal('', text)), signalNumber(text), text);
  }
});
