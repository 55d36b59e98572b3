// Original file: proto/podwright/v1/admin.proto

import type { TracedCall as _podwright_v1_TracedCall, TracedCall__Output as _podwright_v1_TracedCall__Output } from '../../podwright/v1/TracedCall.ts';

export interface TraceResponse {
  'calls'?: (_podwright_v1_TracedCall)[];
}

export interface TraceResponse__Output {
  'calls': (_podwright_v1_TracedCall__Output)[];
}
