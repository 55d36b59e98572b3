// hack/record-monitor: records what this build's daemon and monitors say to each other, for the tests of later releases.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../../src/config/version.ts';
import { protocolVersion } from '../../src/monitor/monitors.ts';
import { TestDaemon } from '../helpers/daemon.ts';
import { FakeCriu } from '../helpers/fake-criu.ts';
import { recordingsDir, type RecordedFacts } from './recording.ts';
import { story } from './story.ts';

const schemaFile = join(import.meta.dirname, '../../src/proto/generated/monitor.json');

async function record(): Promise<void> {
  const criu = new FakeCriu();
  const place = mkdtempSync('/tmp/pwr-');
  const talk = join(place, 'talk.jsonl');
  writeFileSync(talk, '');
  const env = { NODE_OPTIONS: `--import=${join(import.meta.dirname, 'tap.ts')}`, PODWRIGHT_TAP: talk };
  process.env['PODWRIGHT_TAP'] = talk;
  await import('./tap.ts');
  const daemon = new TestDaemon({ env, flags: ['--set', `checkpoint.criu=${criu.program}`] });
  try {
    await daemon.start();
    await story(daemon);
    await daemon.shutdown();
    const facts: RecordedFacts = {
      version,
      protocol: protocolVersion,
      arch: process.arch,
      dir: daemon.dir,
      criu: criu.dir,
    };
    const to = join(recordingsDir, version);
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to, { recursive: true });
    writeFileSync(join(to, 'facts.json'), `${JSON.stringify(facts, null, 2)}\n`);
    writeFileSync(join(to, 'monitor.json'), readFileSync(schemaFile));
    writeFileSync(join(to, 'talk.jsonl'), readFileSync(talk));
  } catch (error) {
    process.stderr.write(`${daemon.lastWords()}\n`);
    throw error;
  } finally {
    await daemon.destroy();
    criu.remove();
    rmSync(place, { recursive: true, force: true });
  }
}

await record();
process.exit(0); // connections to the registry of images may be open
