// Original file: proto/monitor.proto


export interface Empty {
}

export interface Empty__Output {
}
