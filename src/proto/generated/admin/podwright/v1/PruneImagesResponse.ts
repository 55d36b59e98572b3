// Original file: proto/podwright/v1/admin.proto

import type { PrunedImage as _podwright_v1_PrunedImage, PrunedImage__Output as _podwright_v1_PrunedImage__Output } from '../../podwright/v1/PrunedImage.ts';

export interface PruneImagesResponse {
  'images'?: (_podwright_v1_PrunedImage)[];
}

export interface PruneImagesResponse__Output {
  'images': (_podwright_v1_PrunedImage__Output)[];
}
