// Original file: proto/nri/v1alpha1/api.proto

import type { MethodDefinition } from '@grpc/proto-loader'
import type { Empty as _nri_pkg_api_v1alpha1_Empty, Empty__Output as _nri_pkg_api_v1alpha1_Empty__Output } from '../../../../nri/pkg/api/v1alpha1/Empty.ts';
import type { LogRequest as _nri_pkg_api_v1alpha1_LogRequest, LogRequest__Output as _nri_pkg_api_v1alpha1_LogRequest__Output } from '../../../../nri/pkg/api/v1alpha1/LogRequest.ts';

export interface HostFunctionsDefinition {
  Log: MethodDefinition<_nri_pkg_api_v1alpha1_LogRequest, _nri_pkg_api_v1alpha1_Empty, _nri_pkg_api_v1alpha1_LogRequest__Output, _nri_pkg_api_v1alpha1_Empty__Output>
}
