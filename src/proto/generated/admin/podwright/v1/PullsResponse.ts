// Original file: proto/podwright/v1/admin.proto

import type { RunningPull as _podwright_v1_RunningPull, RunningPull__Output as _podwright_v1_RunningPull__Output } from '../../podwright/v1/RunningPull.ts';

export interface PullsResponse {
  'pulls'?: (_podwright_v1_RunningPull)[];
}

export interface PullsResponse__Output {
  'pulls': (_podwright_v1_RunningPull__Output)[];
}
