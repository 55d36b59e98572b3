// Original file: proto/podwright/v1/admin.proto


export interface PushRequest {
  'reference'?: (string);
  'target'?: (string);
  'compression'?: (string);
  'username'?: (string);
  'password'?: (string);
  'authFile'?: (string);
  'skipTlsVerify'?: (boolean);
}

export interface PushRequest__Output {
  'reference': (string);
  'target': (string);
  'compression': (string);
  'username': (string);
  'password': (string);
  'authFile': (string);
  'skipTlsVerify': (boolean);
}
