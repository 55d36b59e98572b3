// Original file: proto/monitor.proto


export interface ExecSyncReply {
  'exitCode'?: (number);
  'stdout'?: (Buffer | Uint8Array | string);
  'stderr'?: (Buffer | Uint8Array | string);
  'timedOut'?: (boolean);
  'truncated'?: (boolean);
}

export interface ExecSyncReply__Output {
  'exitCode': (number);
  'stdout': (Buffer);
  'stderr': (Buffer);
  'timedOut': (boolean);
  'truncated': (boolean);
}
