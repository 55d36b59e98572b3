// Original file: proto/monitor.proto


export interface GetState {
}

export interface GetState__Output {
}
