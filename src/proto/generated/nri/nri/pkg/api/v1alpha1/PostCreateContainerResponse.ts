// Original file: proto/nri/v1alpha1/api.proto


export interface PostCreateContainerResponse {
}

export interface PostCreateContainerResponse__Output {
}
