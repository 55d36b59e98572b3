// Original file: proto/monitor.proto

import type { CgroupPlace as _podwright_monitor_v1_CgroupPlace, CgroupPlace__Output as _podwright_monitor_v1_CgroupPlace__Output } from '../../../podwright/monitor/v1/CgroupPlace.ts';

// Original file: proto/monitor.proto

export const _podwright_monitor_v1_ExternalRuntime_Flavor = {
  OCI: 'OCI',
  RUNSC: 'RUNSC',
} as const;

export type _podwright_monitor_v1_ExternalRuntime_Flavor =
  | 'OCI'
  | 0
  | 'RUNSC'
  | 1

export type _podwright_monitor_v1_ExternalRuntime_Flavor__Output = typeof _podwright_monitor_v1_ExternalRuntime_Flavor[keyof typeof _podwright_monitor_v1_ExternalRuntime_Flavor]

export interface _podwright_monitor_v1_ExternalRuntime_Pod {
  'id'?: (string);
  'bundle'?: (string);
  'cgroup'?: (_podwright_monitor_v1_CgroupPlace | null);
}

export interface _podwright_monitor_v1_ExternalRuntime_Pod__Output {
  'id': (string);
  'bundle': (string);
  'cgroup': (_podwright_monitor_v1_CgroupPlace__Output | null);
}

export interface ExternalRuntime {
  'path'?: (string);
  'root'?: (string);
  'args'?: (string)[];
  'hideUnified'?: (boolean);
  'flavor'?: (_podwright_monitor_v1_ExternalRuntime_Flavor);
  'pod'?: (_podwright_monitor_v1_ExternalRuntime_Pod | null);
  'runtimePid'?: (number);
}

export interface ExternalRuntime__Output {
  'path': (string);
  'root': (string);
  'args': (string)[];
  'hideUnified': (boolean);
  'flavor': (_podwright_monitor_v1_ExternalRuntime_Flavor__Output);
  'pod': (_podwright_monitor_v1_ExternalRuntime_Pod__Output | null);
  'runtimePid': (number);
}
