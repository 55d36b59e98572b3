// Original file: proto/podwright/v1/admin.proto


export interface VerifyImagesRequest {
  'references'?: (string)[];
}

export interface VerifyImagesRequest__Output {
  'references': (string)[];
}
