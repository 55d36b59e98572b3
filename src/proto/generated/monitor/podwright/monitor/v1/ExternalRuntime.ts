// Original file: proto/monitor.proto


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

export interface ExternalRuntime {
  'path'?: (string);
  'root'?: (string);
  'args'?: (string)[];
  'hideUnified'?: (boolean);
  'flavor'?: (_podwright_monitor_v1_ExternalRuntime_Flavor);
}

export interface ExternalRuntime__Output {
  'path': (string);
  'root': (string);
  'args': (string)[];
  'hideUnified': (boolean);
  'flavor': (_podwright_monitor_v1_ExternalRuntime_Flavor__Output);
}
