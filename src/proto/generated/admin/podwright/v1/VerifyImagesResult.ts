// Original file: proto/podwright/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface VerifyImagesResult {
  'images'?: (number);
  'layers'?: (number);
  'blobs'?: (number);
  'bytes'?: (number | string | Long);
}

export interface VerifyImagesResult__Output {
  'images': (number);
  'layers': (number);
  'blobs': (number);
  'bytes': (string);
}
