// Original file: proto/podwright/v1/admin.proto


export interface ImageUsageRequest {
}

export interface ImageUsageRequest__Output {
}
