// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

export interface CheckpointReply {
  'frozenMs'?: (number | string | Long);
}

export interface CheckpointReply__Output {
  'frozenMs': (string);
}
