// Original file: proto/monitor.proto


export interface IdMapping {
  'inside'?: (number);
  'outside'?: (number);
  'count'?: (number);
}

export interface IdMapping__Output {
  'inside': (number);
  'outside': (number);
  'count': (number);
}
