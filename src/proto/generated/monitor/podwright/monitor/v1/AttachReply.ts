// Original file: proto/monitor.proto


export interface AttachReply {
  'terminal'?: (boolean);
}

export interface AttachReply__Output {
  'terminal': (boolean);
}
