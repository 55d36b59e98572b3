// Original file: proto/podwright/v1/admin.proto


export interface SavedImage {
  'id'?: (string);
  'tags'?: (string)[];
  'manifestDigest'?: (string);
  'sameManifest'?: (boolean);
}

export interface SavedImage__Output {
  'id': (string);
  'tags': (string)[];
  'manifestDigest': (string);
  'sameManifest': (boolean);
}
