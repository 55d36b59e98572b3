// Original file: proto/monitor.proto

import type { Overlay as _podwright_monitor_v1_Overlay, Overlay__Output as _podwright_monitor_v1_Overlay__Output } from '../../../podwright/monitor/v1/Overlay.ts';
import type { CgroupFacts as _podwright_monitor_v1_CgroupFacts, CgroupFacts__Output as _podwright_monitor_v1_CgroupFacts__Output } from '../../../podwright/monitor/v1/CgroupFacts.ts';
import type { LogTarget as _podwright_monitor_v1_LogTarget, LogTarget__Output as _podwright_monitor_v1_LogTarget__Output } from '../../../podwright/monitor/v1/LogTarget.ts';
import type { NamespaceMode as _podwright_monitor_v1_NamespaceMode, NamespaceMode__Output as _podwright_monitor_v1_NamespaceMode__Output } from '../../../podwright/monitor/v1/NamespaceMode.ts';
import type { Restore as _podwright_monitor_v1_Restore, Restore__Output as _podwright_monitor_v1_Restore__Output } from '../../../podwright/monitor/v1/Restore.ts';
import type { ExternalRuntime as _podwright_monitor_v1_ExternalRuntime, ExternalRuntime__Output as _podwright_monitor_v1_ExternalRuntime__Output } from '../../../podwright/monitor/v1/ExternalRuntime.ts';
import type { Hooks as _podwright_monitor_v1_Hooks, Hooks__Output as _podwright_monitor_v1_Hooks__Output } from '../../../podwright/monitor/v1/Hooks.ts';
import type { Relabel as _podwright_monitor_v1_Relabel, Relabel__Output as _podwright_monitor_v1_Relabel__Output } from '../../../podwright/monitor/v1/Relabel.ts';

export interface CreateContainer {
  'containerId'?: (string);
  'bundle'?: (string);
  'overlay'?: (_podwright_monitor_v1_Overlay | null);
  'cgroup'?: (_podwright_monitor_v1_CgroupFacts | null);
  'log'?: (_podwright_monitor_v1_LogTarget | null);
  'terminal'?: (boolean);
  'stdin'?: (boolean);
  'stdinOnce'?: (boolean);
  'seccompBpf'?: (Buffer | Uint8Array | string);
  'seccompFlags'?: (number);
  'exitFile'?: (string);
  'pid'?: (_podwright_monitor_v1_NamespaceMode);
  'killRestOnExit'?: (boolean);
  'deadlineMs'?: (number);
  'targetPid'?: (number);
  'shm'?: (boolean);
  'restore'?: (_podwright_monitor_v1_Restore | null);
  'external'?: (_podwright_monitor_v1_ExternalRuntime | null);
  'targetContainerId'?: (string);
  'hooks'?: (_podwright_monitor_v1_Hooks | null);
  'relabel'?: (_podwright_monitor_v1_Relabel | null);
}

export interface CreateContainer__Output {
  'containerId': (string);
  'bundle': (string);
  'overlay': (_podwright_monitor_v1_Overlay__Output | null);
  'cgroup': (_podwright_monitor_v1_CgroupFacts__Output | null);
  'log': (_podwright_monitor_v1_LogTarget__Output | null);
  'terminal': (boolean);
  'stdin': (boolean);
  'stdinOnce': (boolean);
  'seccompBpf': (Buffer);
  'seccompFlags': (number);
  'exitFile': (string);
  'pid': (_podwright_monitor_v1_NamespaceMode__Output);
  'killRestOnExit': (boolean);
  'deadlineMs': (number);
  'targetPid': (number);
  'shm': (boolean);
  'restore': (_podwright_monitor_v1_Restore__Output | null);
  'external': (_podwright_monitor_v1_ExternalRuntime__Output | null);
  'targetContainerId': (string);
  'hooks': (_podwright_monitor_v1_Hooks__Output | null);
  'relabel': (_podwright_monitor_v1_Relabel__Output | null);
}
