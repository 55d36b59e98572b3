// Original file: proto/monitor.proto

import type { CgroupPlace as _podwright_monitor_v1_CgroupPlace, CgroupPlace__Output as _podwright_monitor_v1_CgroupPlace__Output } from '../../../podwright/monitor/v1/CgroupPlace.ts';

export interface CgroupFacts {
  'place'?: (_podwright_monitor_v1_CgroupPlace | null);
  'killFile'?: (string);
  'freezerDir'?: (string);
  'memoryEvents'?: (string);
  'procsDir'?: (string);
  'devicesV1Dir'?: (string);
  'devicesV2Dir'?: (string);
}

export interface CgroupFacts__Output {
  'place': (_podwright_monitor_v1_CgroupPlace__Output | null);
  'killFile': (string);
  'freezerDir': (string);
  'memoryEvents': (string);
  'procsDir': (string);
  'devicesV1Dir': (string);
  'devicesV2Dir': (string);
}
