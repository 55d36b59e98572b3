// Original file: proto/podwright/v1/admin.proto


export interface DoctorRequest {
  'collect'?: (boolean);
}

export interface DoctorRequest__Output {
  'collect': (boolean);
}
