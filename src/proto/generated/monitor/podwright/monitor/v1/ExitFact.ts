// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

export interface ExitFact {
  'containerId'?: (string);
  'exitCode'?: (number);
  'signal'?: (number);
  'oomKilled'?: (boolean);
  'oomKills'?: (number | string | Long);
  'finishedAt'?: (number | string | Long);
  'started'?: (boolean);
  'logDroppedBytes'?: (number | string | Long);
  'stopped'?: (boolean);
  'startedAt'?: (number | string | Long);
}

export interface ExitFact__Output {
  'containerId': (string);
  'exitCode': (number);
  'signal': (number);
  'oomKilled': (boolean);
  'oomKills': (string);
  'finishedAt': (string);
  'started': (boolean);
  'logDroppedBytes': (string);
  'stopped': (boolean);
  'startedAt': (string);
}
