// Original file: proto/podwright/v1/admin.proto


export interface ShutdownRequest {
}

export interface ShutdownRequest__Output {
}
