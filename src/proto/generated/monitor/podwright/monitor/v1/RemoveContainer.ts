// Original file: proto/monitor.proto


export interface RemoveContainer {
  'containerId'?: (string);
}

export interface RemoveContainer__Output {
  'containerId': (string);
}
