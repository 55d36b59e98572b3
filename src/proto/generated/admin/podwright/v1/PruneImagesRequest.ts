// Original file: proto/podwright/v1/admin.proto


export interface PruneImagesRequest {
  'all'?: (boolean);
}

export interface PruneImagesRequest__Output {
  'all': (boolean);
}
