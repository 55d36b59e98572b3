// Original file: proto/monitor.proto

import type { CheckpointFile as _podwright_monitor_v1_CheckpointFile, CheckpointFile__Output as _podwright_monitor_v1_CheckpointFile__Output } from '../../../podwright/monitor/v1/CheckpointFile.ts';

export interface CheckpointTarget {
  'containerId'?: (string);
  'directory'?: (string);
  'bundle'?: (string);
  'upper'?: (string);
  'external'?: (string)[];
  'files'?: (_podwright_monitor_v1_CheckpointFile)[];
}

export interface CheckpointTarget__Output {
  'containerId': (string);
  'directory': (string);
  'bundle': (string);
  'upper': (string);
  'external': (string)[];
  'files': (_podwright_monitor_v1_CheckpointFile__Output)[];
}
