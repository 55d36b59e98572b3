// Original file: proto/monitor.proto


export interface WaitExecReply {
  'exitCode'?: (number);
}

export interface WaitExecReply__Output {
  'exitCode': (number);
}
