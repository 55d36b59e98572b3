// Original file: proto/monitor.proto


export interface CheckpointFile {
  'name'?: (string);
  'content'?: (Buffer | Uint8Array | string);
}

export interface CheckpointFile__Output {
  'name': (string);
  'content': (Buffer);
}
