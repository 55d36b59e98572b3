// Original file: proto/podwright/v1/admin.proto


export interface InspectRequest {
  'id'?: (string);
}

export interface InspectRequest__Output {
  'id': (string);
}
