// Original file: proto/monitor.proto

import type { ExitFact as _podwright_monitor_v1_ExitFact, ExitFact__Output as _podwright_monitor_v1_ExitFact__Output } from '../../../podwright/monitor/v1/ExitFact.ts';

export interface StopContainerReply {
  'exit'?: (_podwright_monitor_v1_ExitFact | null);
  'stuck'?: (string)[];
}

export interface StopContainerReply__Output {
  'exit': (_podwright_monitor_v1_ExitFact__Output | null);
  'stuck': (string)[];
}
