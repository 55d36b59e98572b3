// Original file: proto/podwright/v1/admin.proto

import type { RunningPull as _podwright_v1_RunningPull, RunningPull__Output as _podwright_v1_RunningPull__Output } from '../../podwright/v1/RunningPull.ts';

export interface PullEvent {
  'progress'?: (_podwright_v1_RunningPull | null);
  'id'?: (string);
  'event'?: "progress"|"id";
}

export interface PullEvent__Output {
  'progress'?: (_podwright_v1_RunningPull__Output | null);
  'id'?: (string);
  'event'?: "progress"|"id";
}
