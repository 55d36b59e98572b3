// Original file: proto/monitor.proto

import type { State as _podwright_monitor_v1_State, State__Output as _podwright_monitor_v1_State__Output } from '../../../podwright/monitor/v1/State.ts';
import type { Long } from '@grpc/proto-loader';

export interface HelloReply {
  'version'?: (number);
  'monitorVersion'?: (string);
  'pid'?: (number);
  'startTime'?: (number | string | Long);
  'state'?: (_podwright_monitor_v1_State | null);
}

export interface HelloReply__Output {
  'version': (number);
  'monitorVersion': (string);
  'pid': (number);
  'startTime': (string);
  'state': (_podwright_monitor_v1_State__Output | null);
}
