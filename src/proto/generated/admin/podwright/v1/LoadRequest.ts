// Original file: proto/podwright/v1/admin.proto


export interface LoadRequest {
  'path'?: (string);
  'reference'?: (string);
}

export interface LoadRequest__Output {
  'path': (string);
  'reference': (string);
}
