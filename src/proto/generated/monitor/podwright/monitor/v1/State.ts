// Original file: proto/monitor.proto

import type { ContainerFact as _podwright_monitor_v1_ContainerFact, ContainerFact__Output as _podwright_monitor_v1_ContainerFact__Output } from '../../../podwright/monitor/v1/ContainerFact.ts';

export interface State {
  'sandboxId'?: (string);
  'sandboxCreated'?: (boolean);
  'pausePid'?: (number);
  'containers'?: (_podwright_monitor_v1_ContainerFact)[];
}

export interface State__Output {
  'sandboxId': (string);
  'sandboxCreated': (boolean);
  'pausePid': (number);
  'containers': (_podwright_monitor_v1_ContainerFact__Output)[];
}
