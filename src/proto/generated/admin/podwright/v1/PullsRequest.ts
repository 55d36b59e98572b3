// Original file: proto/podwright/v1/admin.proto


export interface PullsRequest {
}

export interface PullsRequest__Output {
}
