// Original file: proto/monitor.proto

import type { _podwright_monitor_v1_OomFact_Limit, _podwright_monitor_v1_OomFact_Limit__Output } from '../../../podwright/monitor/v1/OomFact.ts';
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
  'oomLimit'?: (_podwright_monitor_v1_OomFact_Limit);
  'oomLimitBytes'?: (number | string | Long);
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
  'oomLimit': (_podwright_monitor_v1_OomFact_Limit__Output);
  'oomLimitBytes': (string);
}
