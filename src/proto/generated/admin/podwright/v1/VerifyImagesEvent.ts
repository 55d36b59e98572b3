// Original file: proto/podwright/v1/admin.proto

import type { LoadStep as _podwright_v1_LoadStep, LoadStep__Output as _podwright_v1_LoadStep__Output } from '../../podwright/v1/LoadStep.ts';
import type { ContentFinding as _podwright_v1_ContentFinding, ContentFinding__Output as _podwright_v1_ContentFinding__Output } from '../../podwright/v1/ContentFinding.ts';
import type { VerifyImagesResult as _podwright_v1_VerifyImagesResult, VerifyImagesResult__Output as _podwright_v1_VerifyImagesResult__Output } from '../../podwright/v1/VerifyImagesResult.ts';

export interface VerifyImagesEvent {
  'step'?: (_podwright_v1_LoadStep | null);
  'finding'?: (_podwright_v1_ContentFinding | null);
  'result'?: (_podwright_v1_VerifyImagesResult | null);
  'event'?: "step"|"finding"|"result";
}

export interface VerifyImagesEvent__Output {
  'step'?: (_podwright_v1_LoadStep__Output | null);
  'finding'?: (_podwright_v1_ContentFinding__Output | null);
  'result'?: (_podwright_v1_VerifyImagesResult__Output | null);
  'event'?: "step"|"finding"|"result";
}
