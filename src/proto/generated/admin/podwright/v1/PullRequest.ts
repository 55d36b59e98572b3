// Original file: proto/podwright/v1/admin.proto


export interface PullRequest {
  'reference'?: (string);
  'username'?: (string);
  'password'?: (string);
  'authFile'?: (string);
  'platform'?: (string);
  'skipTlsVerify'?: (boolean);
}

export interface PullRequest__Output {
  'reference': (string);
  'username': (string);
  'password': (string);
  'authFile': (string);
  'platform': (string);
  'skipTlsVerify': (boolean);
}
