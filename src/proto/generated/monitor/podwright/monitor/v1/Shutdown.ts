// Original file: proto/monitor.proto


export interface Shutdown {
}

export interface Shutdown__Output {
}
