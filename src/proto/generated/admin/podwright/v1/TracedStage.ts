// Original file: proto/podwright/v1/admin.proto


export interface TracedStage {
  'name'?: (string);
  'startMs'?: (number | string);
  'durationMs'?: (number | string);
  'running'?: (boolean);
  'failed'?: (boolean);
}

export interface TracedStage__Output {
  'name': (string);
  'startMs': (number);
  'durationMs': (number);
  'running': (boolean);
  'failed': (boolean);
}
