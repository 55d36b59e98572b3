// Original file: proto/monitor.proto

import type { Long } from '@grpc/proto-loader';

// Original file: proto/monitor.proto

export const _podwright_monitor_v1_OomFact_Limit = {
  UNKNOWN: 'UNKNOWN',
  OWN: 'OWN',
  POD: 'POD',
  ABOVE: 'ABOVE',
  NODE: 'NODE',
} as const;

export type _podwright_monitor_v1_OomFact_Limit =
  | 'UNKNOWN'
  | 0
  | 'OWN'
  | 1
  | 'POD'
  | 2
  | 'ABOVE'
  | 3
  | 'NODE'
  | 4

export type _podwright_monitor_v1_OomFact_Limit__Output = typeof _podwright_monitor_v1_OomFact_Limit[keyof typeof _podwright_monitor_v1_OomFact_Limit]

export interface OomFact {
  'containerId'?: (string);
  'oomKills'?: (number | string | Long);
  'at'?: (number | string | Long);
  'limit'?: (_podwright_monitor_v1_OomFact_Limit);
  'limitBytes'?: (number | string | Long);
  'main'?: (boolean);
  'newKills'?: (number | string | Long);
}

export interface OomFact__Output {
  'containerId': (string);
  'oomKills': (string);
  'at': (string);
  'limit': (_podwright_monitor_v1_OomFact_Limit__Output);
  'limitBytes': (string);
  'main': (boolean);
  'newKills': (string);
}
