// Original file: proto/nri/v1alpha1/api.proto

import type { MethodDefinition } from '@grpc/proto-loader'
import type { Empty as _nri_pkg_api_v1alpha1_Empty, Empty__Output as _nri_pkg_api_v1alpha1_Empty__Output } from '../../../../nri/pkg/api/v1alpha1/Empty.ts';
import type { RegisterPluginRequest as _nri_pkg_api_v1alpha1_RegisterPluginRequest, RegisterPluginRequest__Output as _nri_pkg_api_v1alpha1_RegisterPluginRequest__Output } from '../../../../nri/pkg/api/v1alpha1/RegisterPluginRequest.ts';
import type { UpdateContainersRequest as _nri_pkg_api_v1alpha1_UpdateContainersRequest, UpdateContainersRequest__Output as _nri_pkg_api_v1alpha1_UpdateContainersRequest__Output } from '../../../../nri/pkg/api/v1alpha1/UpdateContainersRequest.ts';
import type { UpdateContainersResponse as _nri_pkg_api_v1alpha1_UpdateContainersResponse, UpdateContainersResponse__Output as _nri_pkg_api_v1alpha1_UpdateContainersResponse__Output } from '../../../../nri/pkg/api/v1alpha1/UpdateContainersResponse.ts';

export interface RuntimeDefinition {
  RegisterPlugin: MethodDefinition<_nri_pkg_api_v1alpha1_RegisterPluginRequest, _nri_pkg_api_v1alpha1_Empty, _nri_pkg_api_v1alpha1_RegisterPluginRequest__Output, _nri_pkg_api_v1alpha1_Empty__Output>
  UpdateContainers: MethodDefinition<_nri_pkg_api_v1alpha1_UpdateContainersRequest, _nri_pkg_api_v1alpha1_UpdateContainersResponse, _nri_pkg_api_v1alpha1_UpdateContainersRequest__Output, _nri_pkg_api_v1alpha1_UpdateContainersResponse__Output>
}
