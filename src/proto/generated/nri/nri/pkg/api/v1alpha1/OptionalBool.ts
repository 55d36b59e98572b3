// Original file: proto/nri/v1alpha1/api.proto


export interface OptionalBool {
  'value'?: (boolean);
}

export interface OptionalBool__Output {
  'value': (boolean);
}
