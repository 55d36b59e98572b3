// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

export interface StopContainer {
  'containerId'?: (string);
  'signal'?: (number);
  'timeoutMs'?: (number | string | Long);
}

export interface StopContainer__Output {
  'containerId': (string);
  'signal': (number);
  'timeoutMs': (string);
}
