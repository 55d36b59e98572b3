// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

export interface LoadCheckpoint {
  'path'?: (string);
  'shm'?: (boolean);
  'deadlineMs'?: (number | string | Long);
}

export interface LoadCheckpoint__Output {
  'path': (string);
  'shm': (boolean);
  'deadlineMs': (string);
}
