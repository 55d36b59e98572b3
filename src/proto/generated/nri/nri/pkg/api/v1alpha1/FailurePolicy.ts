// Original file: proto/nri/v1alpha1/api.proto


export interface FailurePolicy {
  'failRequest'?: (boolean);
  'keepConnected'?: (boolean);
}

export interface FailurePolicy__Output {
  'failRequest': (boolean);
  'keepConnected': (boolean);
}
