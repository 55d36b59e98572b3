// Original file: proto/monitor.proto


export interface CreateSandboxReply {
  'pausePid'?: (number);
  'notes'?: (string)[];
}

export interface CreateSandboxReply__Output {
  'pausePid': (number);
  'notes': (string)[];
}
