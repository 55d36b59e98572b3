// The program podwright-work: the heavy calls of a daemon whose work is limited, in a cgroup of their own. It lives as
// long as the daemon's end of their channel.
import { readFileSync, writeFileSync } from 'node:fs';
import { loadRaw } from '../native/load.ts';
import type { WorkRequest } from './calls.ts';
import { serveWork } from './serve.ts';

const [addon = ''] = process.argv.slice(2);
if (process.send === undefined || addon === '') {
  process.stderr.write('podwright-work is started by podwrightd, not by hand\n');
  process.exit(2);
}
process.title = 'podwright-work';
// a service may have protected the daemon from the OOM killer: a pull can be tried again. Less than it has needs a right
const score = '/proc/self/oom_score_adj';
if (Number(readFileSync(score, 'utf8')) < 0) writeFileSync(score, '0');
const take = serveWork(loadRaw(addon), (reply) => void process.send?.(reply));
process.on('message', (request) => take(request as WorkRequest));
process.on('disconnect', () => process.exit(0));
// the daemon ends it: a signal to the whole group must not cut off what the daemon still drains
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
