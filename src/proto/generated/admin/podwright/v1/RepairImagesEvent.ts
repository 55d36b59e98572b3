// Original file: proto/podwright/v1/admin.proto

import type { LoadStep as _podwright_v1_LoadStep, LoadStep__Output as _podwright_v1_LoadStep__Output } from '../../podwright/v1/LoadStep.ts';
import type { ContentFinding as _podwright_v1_ContentFinding, ContentFinding__Output as _podwright_v1_ContentFinding__Output } from '../../podwright/v1/ContentFinding.ts';
import type { RepairedImage as _podwright_v1_RepairedImage, RepairedImage__Output as _podwright_v1_RepairedImage__Output } from '../../podwright/v1/RepairedImage.ts';

export interface RepairImagesEvent {
  'step'?: (_podwright_v1_LoadStep | null);
  'finding'?: (_podwright_v1_ContentFinding | null);
  'image'?: (_podwright_v1_RepairedImage | null);
  'event'?: "step"|"finding"|"image";
}

export interface RepairImagesEvent__Output {
  'step'?: (_podwright_v1_LoadStep__Output | null);
  'finding'?: (_podwright_v1_ContentFinding__Output | null);
  'image'?: (_podwright_v1_RepairedImage__Output | null);
  'event'?: "step"|"finding"|"image";
}
