// Original file: proto/podwright/v1/admin.proto


export interface SaveRequest {
  'references'?: (string)[];
  'path'?: (string);
  'format'?: (string);
  'compression'?: (string);
}

export interface SaveRequest__Output {
  'references': (string)[];
  'path': (string);
  'format': (string);
  'compression': (string);
}
