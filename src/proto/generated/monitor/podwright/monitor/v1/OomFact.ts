// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

export interface OomFact {
  'containerId'?: (string);
  'oomKills'?: (number | string | Long);
  'at'?: (number | string | Long);
}

export interface OomFact__Output {
  'containerId': (string);
  'oomKills': (string);
  'at': (string);
}
