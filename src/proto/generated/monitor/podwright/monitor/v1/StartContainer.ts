// Original file: proto/monitor.proto


export interface StartContainer {
  'containerId'?: (string);
}

export interface StartContainer__Output {
  'containerId': (string);
}
