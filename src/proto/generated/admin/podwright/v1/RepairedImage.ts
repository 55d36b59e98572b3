// Original file: proto/podwright/v1/admin.proto


export interface RepairedImage {
  'image'?: (string);
  'outcome'?: (string);
  'why'?: (string);
}

export interface RepairedImage__Output {
  'image': (string);
  'outcome': (string);
  'why': (string);
}
