// Original file: proto/monitor.proto


export interface Overlay {
  'lower'?: (string)[];
  'upper'?: (string);
  'work'?: (string);
  'options'?: (string)[];
}

export interface Overlay__Output {
  'lower': (string)[];
  'upper': (string);
  'work': (string);
  'options': (string)[];
}
