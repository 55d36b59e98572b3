// Original file: proto/monitor.proto

import type { Hello as _podwright_monitor_v1_Hello, Hello__Output as _podwright_monitor_v1_Hello__Output } from '../../../podwright/monitor/v1/Hello.ts';
import type { CreateSandbox as _podwright_monitor_v1_CreateSandbox, CreateSandbox__Output as _podwright_monitor_v1_CreateSandbox__Output } from '../../../podwright/monitor/v1/CreateSandbox.ts';
import type { CreateContainer as _podwright_monitor_v1_CreateContainer, CreateContainer__Output as _podwright_monitor_v1_CreateContainer__Output } from '../../../podwright/monitor/v1/CreateContainer.ts';
import type { StartContainer as _podwright_monitor_v1_StartContainer, StartContainer__Output as _podwright_monitor_v1_StartContainer__Output } from '../../../podwright/monitor/v1/StartContainer.ts';
import type { StopContainer as _podwright_monitor_v1_StopContainer, StopContainer__Output as _podwright_monitor_v1_StopContainer__Output } from '../../../podwright/monitor/v1/StopContainer.ts';
import type { SignalContainer as _podwright_monitor_v1_SignalContainer, SignalContainer__Output as _podwright_monitor_v1_SignalContainer__Output } from '../../../podwright/monitor/v1/SignalContainer.ts';
import type { RemoveContainer as _podwright_monitor_v1_RemoveContainer, RemoveContainer__Output as _podwright_monitor_v1_RemoveContainer__Output } from '../../../podwright/monitor/v1/RemoveContainer.ts';
import type { ReopenLog as _podwright_monitor_v1_ReopenLog, ReopenLog__Output as _podwright_monitor_v1_ReopenLog__Output } from '../../../podwright/monitor/v1/ReopenLog.ts';
import type { ExecSync as _podwright_monitor_v1_ExecSync, ExecSync__Output as _podwright_monitor_v1_ExecSync__Output } from '../../../podwright/monitor/v1/ExecSync.ts';
import type { GetState as _podwright_monitor_v1_GetState, GetState__Output as _podwright_monitor_v1_GetState__Output } from '../../../podwright/monitor/v1/GetState.ts';
import type { Shutdown as _podwright_monitor_v1_Shutdown, Shutdown__Output as _podwright_monitor_v1_Shutdown__Output } from '../../../podwright/monitor/v1/Shutdown.ts';
import type { Exec as _podwright_monitor_v1_Exec, Exec__Output as _podwright_monitor_v1_Exec__Output } from '../../../podwright/monitor/v1/Exec.ts';
import type { WaitExec as _podwright_monitor_v1_WaitExec, WaitExec__Output as _podwright_monitor_v1_WaitExec__Output } from '../../../podwright/monitor/v1/WaitExec.ts';
import type { Resize as _podwright_monitor_v1_Resize, Resize__Output as _podwright_monitor_v1_Resize__Output } from '../../../podwright/monitor/v1/Resize.ts';
import type { OpenStream as _podwright_monitor_v1_OpenStream, OpenStream__Output as _podwright_monitor_v1_OpenStream__Output } from '../../../podwright/monitor/v1/OpenStream.ts';
import type { Attach as _podwright_monitor_v1_Attach, Attach__Output as _podwright_monitor_v1_Attach__Output } from '../../../podwright/monitor/v1/Attach.ts';
import type { CancelExec as _podwright_monitor_v1_CancelExec, CancelExec__Output as _podwright_monitor_v1_CancelExec__Output } from '../../../podwright/monitor/v1/CancelExec.ts';
import type { Checkpoint as _podwright_monitor_v1_Checkpoint, Checkpoint__Output as _podwright_monitor_v1_Checkpoint__Output } from '../../../podwright/monitor/v1/Checkpoint.ts';
import type { CancelCheckpoint as _podwright_monitor_v1_CancelCheckpoint, CancelCheckpoint__Output as _podwright_monitor_v1_CancelCheckpoint__Output } from '../../../podwright/monitor/v1/CancelCheckpoint.ts';
import type { LoadCheckpoint as _podwright_monitor_v1_LoadCheckpoint, LoadCheckpoint__Output as _podwright_monitor_v1_LoadCheckpoint__Output } from '../../../podwright/monitor/v1/LoadCheckpoint.ts';
import type { Long } from '@grpc/proto-loader';

export interface Request {
  'id'?: (number | string | Long);
  'hello'?: (_podwright_monitor_v1_Hello | null);
  'createSandbox'?: (_podwright_monitor_v1_CreateSandbox | null);
  'createContainer'?: (_podwright_monitor_v1_CreateContainer | null);
  'startContainer'?: (_podwright_monitor_v1_StartContainer | null);
  'stopContainer'?: (_podwright_monitor_v1_StopContainer | null);
  'signalContainer'?: (_podwright_monitor_v1_SignalContainer | null);
  'removeContainer'?: (_podwright_monitor_v1_RemoveContainer | null);
  'reopenLog'?: (_podwright_monitor_v1_ReopenLog | null);
  'execSync'?: (_podwright_monitor_v1_ExecSync | null);
  'getState'?: (_podwright_monitor_v1_GetState | null);
  'shutdown'?: (_podwright_monitor_v1_Shutdown | null);
  'exec'?: (_podwright_monitor_v1_Exec | null);
  'waitExec'?: (_podwright_monitor_v1_WaitExec | null);
  'resize'?: (_podwright_monitor_v1_Resize | null);
  'openStream'?: (_podwright_monitor_v1_OpenStream | null);
  'attach'?: (_podwright_monitor_v1_Attach | null);
  'cancelExec'?: (_podwright_monitor_v1_CancelExec | null);
  'checkpoint'?: (_podwright_monitor_v1_Checkpoint | null);
  'cancelCheckpoint'?: (_podwright_monitor_v1_CancelCheckpoint | null);
  'loadCheckpoint'?: (_podwright_monitor_v1_LoadCheckpoint | null);
  'call'?: "hello"|"createSandbox"|"createContainer"|"startContainer"|"stopContainer"|"signalContainer"|"removeContainer"|"reopenLog"|"execSync"|"getState"|"shutdown"|"exec"|"waitExec"|"resize"|"openStream"|"attach"|"cancelExec"|"checkpoint"|"cancelCheckpoint"|"loadCheckpoint";
}

export interface Request__Output {
  'id': (string);
  'hello'?: (_podwright_monitor_v1_Hello__Output | null);
  'createSandbox'?: (_podwright_monitor_v1_CreateSandbox__Output | null);
  'createContainer'?: (_podwright_monitor_v1_CreateContainer__Output | null);
  'startContainer'?: (_podwright_monitor_v1_StartContainer__Output | null);
  'stopContainer'?: (_podwright_monitor_v1_StopContainer__Output | null);
  'signalContainer'?: (_podwright_monitor_v1_SignalContainer__Output | null);
  'removeContainer'?: (_podwright_monitor_v1_RemoveContainer__Output | null);
  'reopenLog'?: (_podwright_monitor_v1_ReopenLog__Output | null);
  'execSync'?: (_podwright_monitor_v1_ExecSync__Output | null);
  'getState'?: (_podwright_monitor_v1_GetState__Output | null);
  'shutdown'?: (_podwright_monitor_v1_Shutdown__Output | null);
  'exec'?: (_podwright_monitor_v1_Exec__Output | null);
  'waitExec'?: (_podwright_monitor_v1_WaitExec__Output | null);
  'resize'?: (_podwright_monitor_v1_Resize__Output | null);
  'openStream'?: (_podwright_monitor_v1_OpenStream__Output | null);
  'attach'?: (_podwright_monitor_v1_Attach__Output | null);
  'cancelExec'?: (_podwright_monitor_v1_CancelExec__Output | null);
  'checkpoint'?: (_podwright_monitor_v1_Checkpoint__Output | null);
  'cancelCheckpoint'?: (_podwright_monitor_v1_CancelCheckpoint__Output | null);
  'loadCheckpoint'?: (_podwright_monitor_v1_LoadCheckpoint__Output | null);
  'call'?: "hello"|"createSandbox"|"createContainer"|"startContainer"|"stopContainer"|"signalContainer"|"removeContainer"|"reopenLog"|"execSync"|"getState"|"shutdown"|"exec"|"waitExec"|"resize"|"openStream"|"attach"|"cancelExec"|"checkpoint"|"cancelCheckpoint"|"loadCheckpoint";
}
