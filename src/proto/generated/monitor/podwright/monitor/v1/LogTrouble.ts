// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

export interface LogTrouble {
  'containerId'?: (string);
  'errno'?: (number);
  'droppedBytes'?: (number | string | Long);
}

export interface LogTrouble__Output {
  'containerId': (string);
  'errno': (number);
  'droppedBytes': (string);
}
