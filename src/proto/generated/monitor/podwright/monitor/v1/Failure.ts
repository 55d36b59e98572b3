// Original file: proto/monitor.proto


// Original file: proto/monitor.proto

export const _podwright_monitor_v1_Failure_Kind = {
  INTERNAL: 'INTERNAL',
  INVALID: 'INVALID',
  NOT_FOUND: 'NOT_FOUND',
  FAILED_PRECONDITION: 'FAILED_PRECONDITION',
  DEADLINE_EXCEEDED: 'DEADLINE_EXCEEDED',
  UNSUPPORTED: 'UNSUPPORTED',
  RESOURCE_EXHAUSTED: 'RESOURCE_EXHAUSTED',
  IMAGE_VOLUME: 'IMAGE_VOLUME',
} as const;

export type _podwright_monitor_v1_Failure_Kind =
  | 'INTERNAL'
  | 0
  | 'INVALID'
  | 1
  | 'NOT_FOUND'
  | 2
  | 'FAILED_PRECONDITION'
  | 3
  | 'DEADLINE_EXCEEDED'
  | 4
  | 'UNSUPPORTED'
  | 5
  | 'RESOURCE_EXHAUSTED'
  | 6
  | 'IMAGE_VOLUME'
  | 50

export type _podwright_monitor_v1_Failure_Kind__Output = typeof _podwright_monitor_v1_Failure_Kind[keyof typeof _podwright_monitor_v1_Failure_Kind]

export interface Failure {
  'kind'?: (_podwright_monitor_v1_Failure_Kind);
  'operation'?: (string);
  'syscall'?: (string);
  'errno'?: (number);
  'object'?: (string);
  'detail'?: (string);
}

export interface Failure__Output {
  'kind': (_podwright_monitor_v1_Failure_Kind__Output);
  'operation': (string);
  'syscall': (string);
  'errno': (number);
  'object': (string);
  'detail': (string);
}
