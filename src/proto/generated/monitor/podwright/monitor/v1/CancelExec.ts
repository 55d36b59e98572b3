// Original file: proto/monitor.proto


export interface CancelExec {
  'execId'?: (string);
}

export interface CancelExec__Output {
  'execId': (string);
}
