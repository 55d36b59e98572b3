// A unit that brings an interrupted change to its end after a reboot; there only while a change is under way.
// Must not do anything where systemd is not process 1.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeText } from './files.ts';
import type { Journal } from './journal.ts';
import type { RunProgram } from './programs.ts';

const name = 'podwright-node-resume.service';

/** The unit's text. It is ordered behind the runtimes only: it stops and starts the kubelet itself. */
export const bootUnit = (release: string, journalDir: string): string => `[Unit]
Description=Bring an interrupted change of this node's container runtime to its end
Documentation=man:podwright(1)
After=network-online.target containerd.service crio.service
Wants=network-online.target
ConditionPathExists=${journalDir}/journal.json

[Service]
Type=oneshot
ExecStart=${release}/bin/podwright node resume --journal-dir ${journalDir}
TimeoutStartSec=infinity
KillMode=process

[Install]
WantedBy=multi-user.target
`;

/** Puts the unit there for a transaction that begins, and takes it away after one that is over. */
export async function armBoot(run: RunProgram, journal: Journal, journalDir: string): Promise<void> {
  const { daemon } = journal.settings;
  const side = [journal.to, journal.from].find(({ type }) => type === 'podwright');
  if (daemon.by !== 'systemd' || side?.type !== 'podwright') return;
  const file = join(daemon.unitDir, name);
  const signal = AbortSignal.timeout(60_000);
  if (journal.outcome === null) {
    writeText(file, bootUnit(side.release, journalDir));
    await run(['systemctl', 'enable', name], { signal });
  } else if (existsSync(file)) {
    await run(['systemctl', 'disable', name], { signal });
    writeText(file, null);
    await run(['systemctl', 'daemon-reload'], { signal });
  }
}
