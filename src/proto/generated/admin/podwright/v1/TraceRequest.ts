// Original file: proto/podwright/v1/admin.proto


export interface TraceRequest {
  'sandboxId'?: (string);
}

export interface TraceRequest__Output {
  'sandboxId': (string);
}
