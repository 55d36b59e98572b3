// argv → config → daemon → signals → exit code.
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isatty } from 'node:tty';
import { loadConfig, reloadConfig } from './config/load.ts';
import { version } from './config/version.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { Failure, failureChain } from './lib/failure.ts';
import { openLog } from './log.ts';
import { managerOf } from './daemon/service-manager.ts';

const inputs = { argv: process.argv.slice(2), programDirectory: dirname(fileURLToPath(import.meta.url)) };

async function main(): Promise<number> {
  const invocation = loadConfig(inputs);
  if (invocation.action === 'print') {
    process.stdout.write(invocation.text);
    return 0;
  }
  const manager = managerOf(process.env, process.pid);
  let { config } = invocation;
  const fd = 2;
  const log = await openLog({ ...config.log, terminal: isatty(fd), fd, base: { program: 'podwrightd', version } });
  process.on('uncaughtException', (error) => {
    log.error({ error }, 'a bug: an error nobody caught; pods live on, the daemon ends');
    process.exit(70);
  });
  process.on('unhandledRejection', (error) => log.error({ error }, 'a bug: a rejection nobody handled'));
  let daemon: Daemon | null = null;
  process.on('SIGHUP', () => {
    try {
      const fresh = reloadConfig(inputs, config);
      config = fresh.config;
      log.setLevel(config.log.level);
      daemon?.reload(config);
      log.info({ changed: fresh.changed }, 'configuration read again');
    } catch (error) {
      log.error({ error }, 'configuration was not taken; the old one stays');
    }
  });
  daemon = await startDaemon(config, log, manager);
  if (config !== invocation.config) daemon.reload(config); // it was read again meanwhile
  await stopAsked(daemon);
  await daemon.stop();
  return 0;
}

/** Settles at SIGTERM, SIGINT or an admin's request. */
async function stopAsked(daemon: Daemon): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once('SIGTERM', () => resolve());
  process.once('SIGINT', () => resolve());
  await Promise.race([promise, daemon.ended]);
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`podwrightd: ${failureChain(error)}\n`);
  if (!(error instanceof Failure)) process.stderr.write(`${(error as Error).stack ?? ''}\n`);
  process.exit(1);
}
