// Original file: proto/podwright/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface UsageRow {
  'what'?: (string);
  'count'?: (number);
  'bytes'?: (number | string | Long);
  'inodes'?: (number | string | Long);
  'reclaimableBytes'?: (number | string | Long);
  'path'?: (string);
}

export interface UsageRow__Output {
  'what': (string);
  'count': (number);
  'bytes': (string);
  'inodes': (string);
  'reclaimableBytes': (string);
  'path': (string);
}
