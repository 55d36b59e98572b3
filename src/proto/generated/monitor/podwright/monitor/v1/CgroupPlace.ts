// Original file: proto/monitor.proto


export interface CgroupPlace {
  'unifiedDir'?: (string);
  'v1Tasks'?: (string)[];
}

export interface CgroupPlace__Output {
  'unifiedDir': (string);
  'v1Tasks': (string)[];
}
