// Original file: proto/nri/v1alpha1/api.proto


export interface UpdatePodSandboxResponse {
}

export interface UpdatePodSandboxResponse__Output {
}
