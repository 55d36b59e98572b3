// Original file: proto/nri/v1alpha1/api.proto


export interface PostStartContainerResponse {
}

export interface PostStartContainerResponse__Output {
}
