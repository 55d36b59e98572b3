// Original file: proto/podwright/v1/admin.proto

import type { PulledLayer as _podwright_v1_PulledLayer, PulledLayer__Output as _podwright_v1_PulledLayer__Output } from '../../podwright/v1/PulledLayer.ts';
import type { Long } from '@grpc/proto-loader';

export interface RunningPull {
  'reference'?: (string);
  'startedAtMs'?: (number | string | Long);
  'layers'?: (_podwright_v1_PulledLayer)[];
}

export interface RunningPull__Output {
  'reference': (string);
  'startedAtMs': (string);
  'layers': (_podwright_v1_PulledLayer__Output)[];
}
