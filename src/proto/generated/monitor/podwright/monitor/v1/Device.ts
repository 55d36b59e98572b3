// Original file: proto/monitor.proto


export interface Device {
  'path'?: (string);
  'type'?: (string);
  'major'?: (number);
  'minor'?: (number);
  'access'?: (string);
}

export interface Device__Output {
  'path': (string);
  'type': (string);
  'major': (number);
  'minor': (number);
  'access': (string);
}
