// Original file: proto/podwright/v1/admin.proto


export interface Finding {
  'severity'?: (string);
  'subject'?: (string);
  'problem'?: (string);
  'advice'?: (string);
}

export interface Finding__Output {
  'severity': (string);
  'subject': (string);
  'problem': (string);
  'advice': (string);
}
