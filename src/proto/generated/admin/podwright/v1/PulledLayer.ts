// Original file: proto/podwright/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface PulledLayer {
  'digest'?: (string);
  'stage'?: (string);
  'doneBytes'?: (number | string | Long);
  'totalBytes'?: (number | string | Long);
}

export interface PulledLayer__Output {
  'digest': (string);
  'stage': (string);
  'doneBytes': (string);
  'totalBytes': (string);
}
