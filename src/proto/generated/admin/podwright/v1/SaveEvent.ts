// Original file: proto/podwright/v1/admin.proto

import type { LoadStep as _podwright_v1_LoadStep, LoadStep__Output as _podwright_v1_LoadStep__Output } from '../../podwright/v1/LoadStep.ts';
import type { SavedImage as _podwright_v1_SavedImage, SavedImage__Output as _podwright_v1_SavedImage__Output } from '../../podwright/v1/SavedImage.ts';

export interface SaveEvent {
  'step'?: (_podwright_v1_LoadStep | null);
  'image'?: (_podwright_v1_SavedImage | null);
  'chunk'?: (Buffer | Uint8Array | string);
  'event'?: "step"|"image"|"chunk";
}

export interface SaveEvent__Output {
  'step'?: (_podwright_v1_LoadStep__Output | null);
  'image'?: (_podwright_v1_SavedImage__Output | null);
  'chunk'?: (Buffer);
  'event'?: "step"|"image"|"chunk";
}
