// Original file: proto/nri/v1alpha1/api.proto

import type { FailurePolicy as _nri_pkg_api_v1alpha1_FailurePolicy, FailurePolicy__Output as _nri_pkg_api_v1alpha1_FailurePolicy__Output } from '../../../../nri/pkg/api/v1alpha1/FailurePolicy.ts';

export interface ConfigureResponse {
  'events'?: (number);
  'failurePolicy'?: (_nri_pkg_api_v1alpha1_FailurePolicy | null);
}

export interface ConfigureResponse__Output {
  'events': (number);
  'failurePolicy': (_nri_pkg_api_v1alpha1_FailurePolicy__Output | null);
}
