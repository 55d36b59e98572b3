// Original file: proto/monitor.proto

import type { ExitFact as _podwright_monitor_v1_ExitFact, ExitFact__Output as _podwright_monitor_v1_ExitFact__Output } from '../../../podwright/monitor/v1/ExitFact.ts';
import type { OomFact as _podwright_monitor_v1_OomFact, OomFact__Output as _podwright_monitor_v1_OomFact__Output } from '../../../podwright/monitor/v1/OomFact.ts';
import type { LogTrouble as _podwright_monitor_v1_LogTrouble, LogTrouble__Output as _podwright_monitor_v1_LogTrouble__Output } from '../../../podwright/monitor/v1/LogTrouble.ts';
import type { Note as _podwright_monitor_v1_Note, Note__Output as _podwright_monitor_v1_Note__Output } from '../../../podwright/monitor/v1/Note.ts';

export interface Event {
  'exit'?: (_podwright_monitor_v1_ExitFact | null);
  'oom'?: (_podwright_monitor_v1_OomFact | null);
  'logTrouble'?: (_podwright_monitor_v1_LogTrouble | null);
  'note'?: (_podwright_monitor_v1_Note | null);
  'event'?: "exit"|"oom"|"logTrouble"|"note";
}

export interface Event__Output {
  'exit'?: (_podwright_monitor_v1_ExitFact__Output | null);
  'oom'?: (_podwright_monitor_v1_OomFact__Output | null);
  'logTrouble'?: (_podwright_monitor_v1_LogTrouble__Output | null);
  'note'?: (_podwright_monitor_v1_Note__Output | null);
  'event'?: "exit"|"oom"|"logTrouble"|"note";
}
