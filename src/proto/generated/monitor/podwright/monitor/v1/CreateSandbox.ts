// Original file: proto/monitor.proto

import type { NamespaceMode as _podwright_monitor_v1_NamespaceMode, NamespaceMode__Output as _podwright_monitor_v1_NamespaceMode__Output } from '../../../podwright/monitor/v1/NamespaceMode.ts';
import type { Sysctl as _podwright_monitor_v1_Sysctl, Sysctl__Output as _podwright_monitor_v1_Sysctl__Output } from '../../../podwright/monitor/v1/Sysctl.ts';
import type { CgroupPlace as _podwright_monitor_v1_CgroupPlace, CgroupPlace__Output as _podwright_monitor_v1_CgroupPlace__Output } from '../../../podwright/monitor/v1/CgroupPlace.ts';
import type { UserNamespace as _podwright_monitor_v1_UserNamespace, UserNamespace__Output as _podwright_monitor_v1_UserNamespace__Output } from '../../../podwright/monitor/v1/UserNamespace.ts';
import type { Long } from '@grpc/proto-loader';

export interface CreateSandbox {
  'sandboxId'?: (string);
  'net'?: (_podwright_monitor_v1_NamespaceMode);
  'ipc'?: (_podwright_monitor_v1_NamespaceMode);
  'pid'?: (_podwright_monitor_v1_NamespaceMode);
  'uts'?: (_podwright_monitor_v1_NamespaceMode);
  'netnsPin'?: (string);
  'hostname'?: (string);
  'sysctls'?: (_podwright_monitor_v1_Sysctl)[];
  'shmBytes'?: (number | string | Long);
  'pauseCgroup'?: (_podwright_monitor_v1_CgroupPlace | null);
  'oomScoreAdj'?: (number);
  'user'?: (_podwright_monitor_v1_UserNamespace | null);
  'mountLabel'?: (string);
}

export interface CreateSandbox__Output {
  'sandboxId': (string);
  'net': (_podwright_monitor_v1_NamespaceMode__Output);
  'ipc': (_podwright_monitor_v1_NamespaceMode__Output);
  'pid': (_podwright_monitor_v1_NamespaceMode__Output);
  'uts': (_podwright_monitor_v1_NamespaceMode__Output);
  'netnsPin': (string);
  'hostname': (string);
  'sysctls': (_podwright_monitor_v1_Sysctl__Output)[];
  'shmBytes': (string);
  'pauseCgroup': (_podwright_monitor_v1_CgroupPlace__Output | null);
  'oomScoreAdj': (number);
  'user': (_podwright_monitor_v1_UserNamespace__Output | null);
  'mountLabel': (string);
}
