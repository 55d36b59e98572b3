// Original file: proto/monitor.proto

import type { Request as _podwright_monitor_v1_Request, Request__Output as _podwright_monitor_v1_Request__Output } from '../../../podwright/monitor/v1/Request.ts';
import type { Response as _podwright_monitor_v1_Response, Response__Output as _podwright_monitor_v1_Response__Output } from '../../../podwright/monitor/v1/Response.ts';
import type { Event as _podwright_monitor_v1_Event, Event__Output as _podwright_monitor_v1_Event__Output } from '../../../podwright/monitor/v1/Event.ts';

export interface Frame {
  'request'?: (_podwright_monitor_v1_Request | null);
  'response'?: (_podwright_monitor_v1_Response | null);
  'event'?: (_podwright_monitor_v1_Event | null);
  'body'?: "request"|"response"|"event";
}

export interface Frame__Output {
  'request'?: (_podwright_monitor_v1_Request__Output | null);
  'response'?: (_podwright_monitor_v1_Response__Output | null);
  'event'?: (_podwright_monitor_v1_Event__Output | null);
  'body'?: "request"|"response"|"event";
}
