// Original file: proto/monitor.proto

import type { IdMapping as _podwright_monitor_v1_IdMapping, IdMapping__Output as _podwright_monitor_v1_IdMapping__Output } from '../../../podwright/monitor/v1/IdMapping.ts';

export interface UserNamespace {
  'uids'?: (_podwright_monitor_v1_IdMapping | null);
  'gids'?: (_podwright_monitor_v1_IdMapping | null);
}

export interface UserNamespace__Output {
  'uids': (_podwright_monitor_v1_IdMapping__Output | null);
  'gids': (_podwright_monitor_v1_IdMapping__Output | null);
}
