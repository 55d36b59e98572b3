// Original file: proto/monitor.proto

import type { TerminalSize as _podwright_monitor_v1_TerminalSize, TerminalSize__Output as _podwright_monitor_v1_TerminalSize__Output } from '../../../podwright/monitor/v1/TerminalSize.ts';

export interface Exec {
  'containerId'?: (string);
  'execId'?: (string);
  'process'?: (string);
  'seccompBpf'?: (Buffer | Uint8Array | string);
  'seccompFlags'?: (number);
  'terminal'?: (boolean);
  'stdin'?: (boolean);
  'stdout'?: (boolean);
  'stderr'?: (boolean);
  'size'?: (_podwright_monitor_v1_TerminalSize | null);
}

export interface Exec__Output {
  'containerId': (string);
  'execId': (string);
  'process': (string);
  'seccompBpf': (Buffer);
  'seccompFlags': (number);
  'terminal': (boolean);
  'stdin': (boolean);
  'stdout': (boolean);
  'stderr': (boolean);
  'size': (_podwright_monitor_v1_TerminalSize__Output | null);
}
