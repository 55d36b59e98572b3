// Original file: proto/monitor.proto

import type { TerminalSize as _podwright_monitor_v1_TerminalSize, TerminalSize__Output as _podwright_monitor_v1_TerminalSize__Output } from '../../../podwright/monitor/v1/TerminalSize.ts';

export interface Resize {
  'containerId'?: (string);
  'execId'?: (string);
  'size'?: (_podwright_monitor_v1_TerminalSize | null);
}

export interface Resize__Output {
  'containerId': (string);
  'execId': (string);
  'size': (_podwright_monitor_v1_TerminalSize__Output | null);
}
