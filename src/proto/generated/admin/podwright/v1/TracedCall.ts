// Original file: proto/podwright/v1/admin.proto

import type { TracedStage as _podwright_v1_TracedStage, TracedStage__Output as _podwright_v1_TracedStage__Output } from '../../podwright/v1/TracedStage.ts';
import type { Long } from '@grpc/proto-loader';

export interface TracedCall {
  'rpc'?: (string);
  'sandboxId'?: (string);
  'startedAtMs'?: (number | string | Long);
  'stages'?: (_podwright_v1_TracedStage)[];
}

export interface TracedCall__Output {
  'rpc': (string);
  'sandboxId': (string);
  'startedAtMs': (string);
  'stages': (_podwright_v1_TracedStage__Output)[];
}
