// The installer image of release trees, in a registry of its own on loopback: what a test pushes is gone with its files.
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { kitPrograms } from './registry.ts';
import { until } from './until.ts';

const run = promisify(execFile);
const script = join(import.meta.dirname, '../../hack/installer-image.mjs');

/** A registry over plain HTTP that runs. */
export interface PlainRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  close(): Promise<void>;
}

/** Starts one on a free port, with its files below `dir`. */
export async function startPlainRegistry(dir: string): Promise<PlainRegistry> {
  const [config, log, data] = ['registry.yml', 'registry.log', 'registry'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(data);
  const storage = `storage: {filesystem: {rootdirectory: ${data}}}`;
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\n${storage}\nhttp: {addr: '127.0.0.1:0'}\n`,
  );
  writeFileSync(log, '');
  const line = 'exec "$0" serve "$1" > "$2" 2>&1';
  const child = spawn('sh', ['-c', line, join(await kitPrograms(), 'registry'), config, log], {
    stdio: 'ignore',
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  });
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const port = await until('the registry listens', () => {
    const text = readFileSync(log, 'utf8');
    if (ended()) throw new Error(`the registry ended: ${text}`);
    return /listening on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
  });
  return {
    host: `127.0.0.1:${port}`,
    async close() {
      if (!ended()) child.kill('SIGKILL');
      await until('the registry ends', ended);
    },
  };
}

/** Makes the image of a release tree as an OCI archive; answers the digest of its index. */
export async function installerImage(tree: string, archive: string, name: string): Promise<string> {
  const args = [script, '--tree', tree, '--out', archive, '--name', name];
  const { stdout } = await run(process.execPath, args, { timeout: 300_000 });
  return stdout.trim();
}

/** Copies an OCI archive to the registry that its name says. */
export async function pushArchive(archive: string, name: string): Promise<void> {
  const args = ['copy', '--quiet', '--all', '--dest-tls-verify=false', `oci-archive:${archive}`, `docker://${name}`];
  await run('skopeo', args, { timeout: 300_000 });
}
