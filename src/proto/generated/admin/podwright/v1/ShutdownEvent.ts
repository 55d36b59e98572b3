// Original file: proto/podwright/v1/admin.proto


export interface ShutdownEvent {
  'step'?: (string);
}

export interface ShutdownEvent__Output {
  'step': (string);
}
