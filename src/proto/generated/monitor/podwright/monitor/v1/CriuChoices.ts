// Original file: proto/monitor.proto


export interface CriuChoices {
  'tcpEstablished'?: (boolean);
  'tcpClose'?: (boolean);
  'externalUnixSockets'?: (boolean);
  'fileLocks'?: (boolean);
}

export interface CriuChoices__Output {
  'tcpEstablished': (boolean);
  'tcpClose': (boolean);
  'externalUnixSockets': (boolean);
  'fileLocks': (boolean);
}
