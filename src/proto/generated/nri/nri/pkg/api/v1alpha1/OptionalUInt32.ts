// Original file: proto/nri/v1alpha1/api.proto


export interface OptionalUInt32 {
  'value'?: (number);
}

export interface OptionalUInt32__Output {
  'value': (number);
}
