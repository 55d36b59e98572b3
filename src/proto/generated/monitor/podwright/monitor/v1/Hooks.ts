// Original file: proto/monitor.proto


export interface Hooks {
  'create'?: (boolean);
  'started'?: (boolean);
  'stopped'?: (boolean);
  'runtimePid'?: (number);
}

export interface Hooks__Output {
  'create': (boolean);
  'started': (boolean);
  'stopped': (boolean);
  'runtimePid': (number);
}
