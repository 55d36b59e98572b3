// Original file: proto/nri/v1alpha1/api.proto


export interface PostUpdatePodSandboxResponse {
}

export interface PostUpdatePodSandboxResponse__Output {
}
