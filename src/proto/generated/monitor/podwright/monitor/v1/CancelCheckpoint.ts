// Original file: proto/monitor.proto


export interface CancelCheckpoint {
}

export interface CancelCheckpoint__Output {
}
