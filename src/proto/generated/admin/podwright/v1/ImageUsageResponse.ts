// Original file: proto/podwright/v1/admin.proto

import type { UsageRow as _podwright_v1_UsageRow, UsageRow__Output as _podwright_v1_UsageRow__Output } from '../../podwright/v1/UsageRow.ts';

export interface ImageUsageResponse {
  'rows'?: (_podwright_v1_UsageRow)[];
}

export interface ImageUsageResponse__Output {
  'rows': (_podwright_v1_UsageRow__Output)[];
}
