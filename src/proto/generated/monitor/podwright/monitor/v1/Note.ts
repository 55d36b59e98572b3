// Original file: proto/monitor.proto


export interface Note {
  'containerId'?: (string);
  'text'?: (string);
}

export interface Note__Output {
  'containerId': (string);
  'text': (string);
}
