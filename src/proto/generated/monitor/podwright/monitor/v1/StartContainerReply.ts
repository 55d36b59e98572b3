// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

export interface StartContainerReply {
  'pid'?: (number);
  'startedAt'?: (number | string | Long);
}

export interface StartContainerReply__Output {
  'pid': (number);
  'startedAt': (string);
}
