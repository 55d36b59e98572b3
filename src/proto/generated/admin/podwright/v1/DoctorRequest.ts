// Original file: proto/podwright/v1/admin.proto


export interface DoctorRequest {
}

export interface DoctorRequest__Output {
}
