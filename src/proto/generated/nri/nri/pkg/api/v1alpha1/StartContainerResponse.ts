// Original file: proto/nri/v1alpha1/api.proto


export interface StartContainerResponse {
}

export interface StartContainerResponse__Output {
}
