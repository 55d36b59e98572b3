// Original file: proto/monitor.proto


export interface ExecReply {
  'pid'?: (number);
}

export interface ExecReply__Output {
  'pid': (number);
}
