// Original file: proto/podwright/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface PushedImage {
  'reference'?: (string);
  'id'?: (string);
  'digest'?: (string);
  'size'?: (number | string | Long);
  'sameManifest'?: (boolean);
}

export interface PushedImage__Output {
  'reference': (string);
  'id': (string);
  'digest': (string);
  'size': (string);
  'sameManifest': (boolean);
}
