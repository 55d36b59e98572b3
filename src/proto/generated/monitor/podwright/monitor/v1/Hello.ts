// Original file: proto/monitor.proto


export interface Hello {
  'version'?: (number);
  'daemonVersion'?: (string);
}

export interface Hello__Output {
  'version': (number);
  'daemonVersion': (string);
}
