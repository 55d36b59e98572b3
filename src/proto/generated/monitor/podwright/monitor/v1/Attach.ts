// Original file: proto/monitor.proto


export interface Attach {
  'containerId'?: (string);
  'attachId'?: (string);
  'stdin'?: (boolean);
  'stdout'?: (boolean);
  'stderr'?: (boolean);
}

export interface Attach__Output {
  'containerId': (string);
  'attachId': (string);
  'stdin': (boolean);
  'stdout': (boolean);
  'stderr': (boolean);
}
