// Original file: proto/podwright/v1/admin.proto


export interface LoadedImage {
  'id'?: (string);
  'tags'?: (string)[];
}

export interface LoadedImage__Output {
  'id': (string);
  'tags': (string)[];
}
