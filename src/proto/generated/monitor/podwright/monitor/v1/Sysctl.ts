// Original file: proto/monitor.proto


export interface Sysctl {
  'name'?: (string);
  'value'?: (string);
}

export interface Sysctl__Output {
  'name': (string);
  'value': (string);
}
