// Original file: proto/monitor.proto


export interface WaitExec {
  'execId'?: (string);
  'drainMs'?: (number);
}

export interface WaitExec__Output {
  'execId': (string);
  'drainMs': (number);
}
