// Original file: proto/podwright/v1/admin.proto

import type { RunningPull as _podwright_v1_RunningPull, RunningPull__Output as _podwright_v1_RunningPull__Output } from '../../podwright/v1/RunningPull.ts';
import type { PushedImage as _podwright_v1_PushedImage, PushedImage__Output as _podwright_v1_PushedImage__Output } from '../../podwright/v1/PushedImage.ts';

export interface PushEvent {
  'progress'?: (_podwright_v1_RunningPull | null);
  'image'?: (_podwright_v1_PushedImage | null);
  'event'?: "progress"|"image";
}

export interface PushEvent__Output {
  'progress'?: (_podwright_v1_RunningPull__Output | null);
  'image'?: (_podwright_v1_PushedImage__Output | null);
  'event'?: "progress"|"image";
}
