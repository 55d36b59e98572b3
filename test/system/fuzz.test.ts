// Random requests to every RPC, bytes that are almost requests, and nonsense on the sockets: hack/fuzz does more of it.
import test from 'ava';
import { fuzzDaemon } from '../fuzz/session.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';

const daemon = useDaemon(test);

test.serial(
  '1500 random requests: the daemon lives, answers all, leaks nothing, and never blames itself',
  async (t) => {
    t.timeout(420_000);
    const result = await fuzzDaemon(daemon, {
      count: 1500,
      wireCount: 300,
      socketCount: 100,
      monitorCount: 100,
      // the same requests each time: hack/fuzz and this variable try others
      seed: Number(process.env['PODWRIGHT_FUZZ_SEED'] ?? 2026),
      callers: 8,
      limitMs: 180_000,
    });
    t.log(`seed ${result.options.seed}: ${result.requests.sent} requests in ${result.seconds} s`);
    t.deepEqual(result.complaints, [], `PODWRIGHT_FUZZ_SEED=${result.options.seed}`);
  },
);

endsWithoutResidue(test, daemon);
