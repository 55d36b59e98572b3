// Original file: proto/monitor.proto

import type { Failure as _podwright_monitor_v1_Failure, Failure__Output as _podwright_monitor_v1_Failure__Output } from '../../../podwright/monitor/v1/Failure.ts';
import type { HelloReply as _podwright_monitor_v1_HelloReply, HelloReply__Output as _podwright_monitor_v1_HelloReply__Output } from '../../../podwright/monitor/v1/HelloReply.ts';
import type { CreateSandboxReply as _podwright_monitor_v1_CreateSandboxReply, CreateSandboxReply__Output as _podwright_monitor_v1_CreateSandboxReply__Output } from '../../../podwright/monitor/v1/CreateSandboxReply.ts';
import type { CreateContainerReply as _podwright_monitor_v1_CreateContainerReply, CreateContainerReply__Output as _podwright_monitor_v1_CreateContainerReply__Output } from '../../../podwright/monitor/v1/CreateContainerReply.ts';
import type { StartContainerReply as _podwright_monitor_v1_StartContainerReply, StartContainerReply__Output as _podwright_monitor_v1_StartContainerReply__Output } from '../../../podwright/monitor/v1/StartContainerReply.ts';
import type { Empty as _podwright_monitor_v1_Empty, Empty__Output as _podwright_monitor_v1_Empty__Output } from '../../../podwright/monitor/v1/Empty.ts';
import type { ExecSyncReply as _podwright_monitor_v1_ExecSyncReply, ExecSyncReply__Output as _podwright_monitor_v1_ExecSyncReply__Output } from '../../../podwright/monitor/v1/ExecSyncReply.ts';
import type { State as _podwright_monitor_v1_State, State__Output as _podwright_monitor_v1_State__Output } from '../../../podwright/monitor/v1/State.ts';
import type { StopContainerReply as _podwright_monitor_v1_StopContainerReply, StopContainerReply__Output as _podwright_monitor_v1_StopContainerReply__Output } from '../../../podwright/monitor/v1/StopContainerReply.ts';
import type { ExecReply as _podwright_monitor_v1_ExecReply, ExecReply__Output as _podwright_monitor_v1_ExecReply__Output } from '../../../podwright/monitor/v1/ExecReply.ts';
import type { WaitExecReply as _podwright_monitor_v1_WaitExecReply, WaitExecReply__Output as _podwright_monitor_v1_WaitExecReply__Output } from '../../../podwright/monitor/v1/WaitExecReply.ts';
import type { AttachReply as _podwright_monitor_v1_AttachReply, AttachReply__Output as _podwright_monitor_v1_AttachReply__Output } from '../../../podwright/monitor/v1/AttachReply.ts';
import type { CheckpointReply as _podwright_monitor_v1_CheckpointReply, CheckpointReply__Output as _podwright_monitor_v1_CheckpointReply__Output } from '../../../podwright/monitor/v1/CheckpointReply.ts';
import type { LoadCheckpointReply as _podwright_monitor_v1_LoadCheckpointReply, LoadCheckpointReply__Output as _podwright_monitor_v1_LoadCheckpointReply__Output } from '../../../podwright/monitor/v1/LoadCheckpointReply.ts';
import type { Long } from '@grpc/proto-loader';

export interface Response {
  'id'?: (number | string | Long);
  'failure'?: (_podwright_monitor_v1_Failure | null);
  'hello'?: (_podwright_monitor_v1_HelloReply | null);
  'createSandbox'?: (_podwright_monitor_v1_CreateSandboxReply | null);
  'createContainer'?: (_podwright_monitor_v1_CreateContainerReply | null);
  'startContainer'?: (_podwright_monitor_v1_StartContainerReply | null);
  'empty'?: (_podwright_monitor_v1_Empty | null);
  'execSync'?: (_podwright_monitor_v1_ExecSyncReply | null);
  'state'?: (_podwright_monitor_v1_State | null);
  'stopContainer'?: (_podwright_monitor_v1_StopContainerReply | null);
  'exec'?: (_podwright_monitor_v1_ExecReply | null);
  'waitExec'?: (_podwright_monitor_v1_WaitExecReply | null);
  'attach'?: (_podwright_monitor_v1_AttachReply | null);
  'checkpoint'?: (_podwright_monitor_v1_CheckpointReply | null);
  'loadCheckpoint'?: (_podwright_monitor_v1_LoadCheckpointReply | null);
  'result'?: "failure"|"hello"|"createSandbox"|"createContainer"|"startContainer"|"empty"|"execSync"|"state"|"stopContainer"|"exec"|"waitExec"|"attach"|"checkpoint"|"loadCheckpoint";
}

export interface Response__Output {
  'id': (string);
  'failure'?: (_podwright_monitor_v1_Failure__Output | null);
  'hello'?: (_podwright_monitor_v1_HelloReply__Output | null);
  'createSandbox'?: (_podwright_monitor_v1_CreateSandboxReply__Output | null);
  'createContainer'?: (_podwright_monitor_v1_CreateContainerReply__Output | null);
  'startContainer'?: (_podwright_monitor_v1_StartContainerReply__Output | null);
  'empty'?: (_podwright_monitor_v1_Empty__Output | null);
  'execSync'?: (_podwright_monitor_v1_ExecSyncReply__Output | null);
  'state'?: (_podwright_monitor_v1_State__Output | null);
  'stopContainer'?: (_podwright_monitor_v1_StopContainerReply__Output | null);
  'exec'?: (_podwright_monitor_v1_ExecReply__Output | null);
  'waitExec'?: (_podwright_monitor_v1_WaitExecReply__Output | null);
  'attach'?: (_podwright_monitor_v1_AttachReply__Output | null);
  'checkpoint'?: (_podwright_monitor_v1_CheckpointReply__Output | null);
  'loadCheckpoint'?: (_podwright_monitor_v1_LoadCheckpointReply__Output | null);
  'result'?: "failure"|"hello"|"createSandbox"|"createContainer"|"startContainer"|"empty"|"execSync"|"state"|"stopContainer"|"exec"|"waitExec"|"attach"|"checkpoint"|"loadCheckpoint";
}
