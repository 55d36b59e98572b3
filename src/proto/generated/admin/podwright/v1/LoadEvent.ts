// Original file: proto/podwright/v1/admin.proto

import type { LoadStep as _podwright_v1_LoadStep, LoadStep__Output as _podwright_v1_LoadStep__Output } from '../../podwright/v1/LoadStep.ts';
import type { LoadedImage as _podwright_v1_LoadedImage, LoadedImage__Output as _podwright_v1_LoadedImage__Output } from '../../podwright/v1/LoadedImage.ts';

export interface LoadEvent {
  'step'?: (_podwright_v1_LoadStep | null);
  'image'?: (_podwright_v1_LoadedImage | null);
  'event'?: "step"|"image";
}

export interface LoadEvent__Output {
  'step'?: (_podwright_v1_LoadStep__Output | null);
  'image'?: (_podwright_v1_LoadedImage__Output | null);
  'event'?: "step"|"image";
}
