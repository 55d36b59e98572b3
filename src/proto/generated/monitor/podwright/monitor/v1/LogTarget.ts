// Original file: proto/monitor.proto


export interface LogTarget {
  'path'?: (string);
  'maxLineBytes'?: (number);
}

export interface LogTarget__Output {
  'path': (string);
  'maxLineBytes': (number);
}
