// Original file: proto/monitor.proto

import type { Device as _podwright_monitor_v1_Device, Device__Output as _podwright_monitor_v1_Device__Output } from '../../../podwright/monitor/v1/Device.ts';
import type { Long } from '@grpc/proto-loader';

export interface CreateContainerReply {
  'pid'?: (number);
  'startTime'?: (number | string | Long);
  'notes'?: (string)[];
  'devices'?: (_podwright_monitor_v1_Device)[];
  'groups'?: (number)[];
}

export interface CreateContainerReply__Output {
  'pid': (number);
  'startTime': (string);
  'notes': (string)[];
  'devices': (_podwright_monitor_v1_Device__Output)[];
  'groups': (number)[];
}
