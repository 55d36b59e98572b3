// Original file: proto/podwright/v1/admin.proto

import type { Finding as _podwright_v1_Finding, Finding__Output as _podwright_v1_Finding__Output } from '../../podwright/v1/Finding.ts';

export interface DoctorResponse {
  'findings'?: (_podwright_v1_Finding)[];
}

export interface DoctorResponse__Output {
  'findings': (_podwright_v1_Finding__Output)[];
}
