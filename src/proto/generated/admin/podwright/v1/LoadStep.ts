// Original file: proto/podwright/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface LoadStep {
  'what'?: (string);
  'doneBytes'?: (number | string | Long);
  'totalBytes'?: (number | string | Long);
}

export interface LoadStep__Output {
  'what': (string);
  'doneBytes': (string);
  'totalBytes': (string);
}
