// Original file: proto/monitor.proto


// Original file: proto/monitor.proto

export const _podwright_monitor_v1_OpenStream_Name = {
  STDIN: 'STDIN',
  STDOUT: 'STDOUT',
  STDERR: 'STDERR',
} as const;

export type _podwright_monitor_v1_OpenStream_Name =
  | 'STDIN'
  | 0
  | 'STDOUT'
  | 1
  | 'STDERR'
  | 2

export type _podwright_monitor_v1_OpenStream_Name__Output = typeof _podwright_monitor_v1_OpenStream_Name[keyof typeof _podwright_monitor_v1_OpenStream_Name]

export interface _podwright_monitor_v1_OpenStream_Port {
  'port'?: (number);
}

export interface _podwright_monitor_v1_OpenStream_Port__Output {
  'port': (number);
}

export interface _podwright_monitor_v1_OpenStream_Process {
  'id'?: (string);
  'name'?: (_podwright_monitor_v1_OpenStream_Name);
}

export interface _podwright_monitor_v1_OpenStream_Process__Output {
  'id': (string);
  'name': (_podwright_monitor_v1_OpenStream_Name__Output);
}

export interface OpenStream {
  'process'?: (_podwright_monitor_v1_OpenStream_Process | null);
  'port'?: (_podwright_monitor_v1_OpenStream_Port | null);
  'stream'?: "process"|"port";
}

export interface OpenStream__Output {
  'process'?: (_podwright_monitor_v1_OpenStream_Process__Output | null);
  'port'?: (_podwright_monitor_v1_OpenStream_Port__Output | null);
  'stream'?: "process"|"port";
}
