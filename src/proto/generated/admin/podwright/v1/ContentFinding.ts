// Original file: proto/podwright/v1/admin.proto


export interface ContentFinding {
  'what'?: (string);
  'kind'?: (string);
  'why'?: (string);
  'images'?: (string)[];
  'containers'?: (string)[];
}

export interface ContentFinding__Output {
  'what': (string);
  'kind': (string);
  'why': (string);
  'images': (string)[];
  'containers': (string)[];
}
