// Original file: proto/monitor.proto


export interface ReopenLog {
  'containerId'?: (string);
}

export interface ReopenLog__Output {
  'containerId': (string);
}
