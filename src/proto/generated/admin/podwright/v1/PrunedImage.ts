// Original file: proto/podwright/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface PrunedImage {
  'id'?: (string);
  'tags'?: (string)[];
  'bytes'?: (number | string | Long);
}

export interface PrunedImage__Output {
  'id': (string);
  'tags': (string)[];
  'bytes': (string);
}
