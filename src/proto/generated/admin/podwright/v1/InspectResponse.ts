// Original file: proto/podwright/v1/admin.proto


export interface InspectResponse {
  'kind'?: (string);
  'json'?: (string);
}

export interface InspectResponse__Output {
  'kind': (string);
  'json': (string);
}
