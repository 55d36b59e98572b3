// Original file: proto/monitor.proto


export interface SignalContainer {
  'containerId'?: (string);
  'signal'?: (number);
  'all'?: (boolean);
}

export interface SignalContainer__Output {
  'containerId': (string);
  'signal': (number);
  'all': (boolean);
}
