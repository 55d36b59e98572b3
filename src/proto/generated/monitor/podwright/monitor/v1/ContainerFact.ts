// Original file: proto/monitor.proto

import type { ExitFact as _podwright_monitor_v1_ExitFact, ExitFact__Output as _podwright_monitor_v1_ExitFact__Output } from '../../../podwright/monitor/v1/ExitFact.ts';
import type { Long } from '@grpc/proto-loader';

export interface ContainerFact {
  'containerId'?: (string);
  'pid'?: (number);
  'startTime'?: (number | string | Long);
  'createdAt'?: (number | string | Long);
  'startedAt'?: (number | string | Long);
  'exit'?: (_podwright_monitor_v1_ExitFact | null);
}

export interface ContainerFact__Output {
  'containerId': (string);
  'pid': (number);
  'startTime': (string);
  'createdAt': (string);
  'startedAt': (string);
  'exit': (_podwright_monitor_v1_ExitFact__Output | null);
}
