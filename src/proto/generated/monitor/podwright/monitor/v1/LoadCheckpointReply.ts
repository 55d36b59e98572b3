// Original file: proto/monitor.proto


export interface LoadCheckpointReply {
  'manifest'?: (Buffer | Uint8Array | string);
}

export interface LoadCheckpointReply__Output {
  'manifest': (Buffer);
}
