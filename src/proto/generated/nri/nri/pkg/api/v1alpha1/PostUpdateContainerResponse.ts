// Original file: proto/nri/v1alpha1/api.proto


export interface PostUpdateContainerResponse {
}

export interface PostUpdateContainerResponse__Output {
}
