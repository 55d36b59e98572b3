// Original file: proto/monitor.proto

import type { CriuChoices as _podwright_monitor_v1_CriuChoices, CriuChoices__Output as _podwright_monitor_v1_CriuChoices__Output } from '../../../podwright/monitor/v1/CriuChoices.ts';

export interface Restore {
  'checkpoint'?: (string);
  'criu'?: (string);
  'choices'?: (_podwright_monitor_v1_CriuChoices | null);
}

export interface Restore__Output {
  'checkpoint': (string);
  'criu': (string);
  'choices': (_podwright_monitor_v1_CriuChoices__Output | null);
}
