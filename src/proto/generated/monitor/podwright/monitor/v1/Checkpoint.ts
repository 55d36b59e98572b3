// Original file: proto/monitor.proto

import type { CheckpointTarget as _podwright_monitor_v1_CheckpointTarget, CheckpointTarget__Output as _podwright_monitor_v1_CheckpointTarget__Output } from '../../../podwright/monitor/v1/CheckpointTarget.ts';
import type { CriuChoices as _podwright_monitor_v1_CriuChoices, CriuChoices__Output as _podwright_monitor_v1_CriuChoices__Output } from '../../../podwright/monitor/v1/CriuChoices.ts';
import type { Long } from '@grpc/proto-loader';

export interface Checkpoint {
  'targets'?: (_podwright_monitor_v1_CheckpointTarget)[];
  'output'?: (string);
  'staging'?: (string);
  'criu'?: (string);
  'choices'?: (_podwright_monitor_v1_CriuChoices | null);
  'manifest'?: (Buffer | Uint8Array | string);
  'shm'?: (boolean);
  'deadlineMs'?: (number | string | Long);
}

export interface Checkpoint__Output {
  'targets': (_podwright_monitor_v1_CheckpointTarget__Output)[];
  'output': (string);
  'staging': (string);
  'criu': (string);
  'choices': (_podwright_monitor_v1_CriuChoices__Output | null);
  'manifest': (Buffer);
  'shm': (boolean);
  'deadlineMs': (string);
}
