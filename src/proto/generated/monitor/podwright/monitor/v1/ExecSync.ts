// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

export interface ExecSync {
  'containerId'?: (string);
  'process'?: (string);
  'timeoutMs'?: (number | string | Long);
  'maxOutputBytes'?: (number | string | Long);
  'seccompBpf'?: (Buffer | Uint8Array | string);
  'seccompFlags'?: (number);
  'drainMs'?: (number);
  'execId'?: (string);
}

export interface ExecSync__Output {
  'containerId': (string);
  'process': (string);
  'timeoutMs': (string);
  'maxOutputBytes': (string);
  'seccompBpf': (Buffer);
  'seccompFlags': (number);
  'drainMs': (number);
  'execId': (string);
}
