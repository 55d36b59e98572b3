// Original file: proto/podwright/v1/admin.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { DoctorRequest as _podwright_v1_DoctorRequest, DoctorRequest__Output as _podwright_v1_DoctorRequest__Output } from '../../podwright/v1/DoctorRequest.ts';
import type { DoctorResponse as _podwright_v1_DoctorResponse, DoctorResponse__Output as _podwright_v1_DoctorResponse__Output } from '../../podwright/v1/DoctorResponse.ts';
import type { ImageUsageRequest as _podwright_v1_ImageUsageRequest, ImageUsageRequest__Output as _podwright_v1_ImageUsageRequest__Output } from '../../podwright/v1/ImageUsageRequest.ts';
import type { ImageUsageResponse as _podwright_v1_ImageUsageResponse, ImageUsageResponse__Output as _podwright_v1_ImageUsageResponse__Output } from '../../podwright/v1/ImageUsageResponse.ts';
import type { InspectRequest as _podwright_v1_InspectRequest, InspectRequest__Output as _podwright_v1_InspectRequest__Output } from '../../podwright/v1/InspectRequest.ts';
import type { InspectResponse as _podwright_v1_InspectResponse, InspectResponse__Output as _podwright_v1_InspectResponse__Output } from '../../podwright/v1/InspectResponse.ts';
import type { LoadEvent as _podwright_v1_LoadEvent, LoadEvent__Output as _podwright_v1_LoadEvent__Output } from '../../podwright/v1/LoadEvent.ts';
import type { LoadRequest as _podwright_v1_LoadRequest, LoadRequest__Output as _podwright_v1_LoadRequest__Output } from '../../podwright/v1/LoadRequest.ts';
import type { PruneImagesRequest as _podwright_v1_PruneImagesRequest, PruneImagesRequest__Output as _podwright_v1_PruneImagesRequest__Output } from '../../podwright/v1/PruneImagesRequest.ts';
import type { PruneImagesResponse as _podwright_v1_PruneImagesResponse, PruneImagesResponse__Output as _podwright_v1_PruneImagesResponse__Output } from '../../podwright/v1/PruneImagesResponse.ts';
import type { PullEvent as _podwright_v1_PullEvent, PullEvent__Output as _podwright_v1_PullEvent__Output } from '../../podwright/v1/PullEvent.ts';
import type { PullRequest as _podwright_v1_PullRequest, PullRequest__Output as _podwright_v1_PullRequest__Output } from '../../podwright/v1/PullRequest.ts';
import type { PullsRequest as _podwright_v1_PullsRequest, PullsRequest__Output as _podwright_v1_PullsRequest__Output } from '../../podwright/v1/PullsRequest.ts';
import type { PullsResponse as _podwright_v1_PullsResponse, PullsResponse__Output as _podwright_v1_PullsResponse__Output } from '../../podwright/v1/PullsResponse.ts';
import type { PushEvent as _podwright_v1_PushEvent, PushEvent__Output as _podwright_v1_PushEvent__Output } from '../../podwright/v1/PushEvent.ts';
import type { PushRequest as _podwright_v1_PushRequest, PushRequest__Output as _podwright_v1_PushRequest__Output } from '../../podwright/v1/PushRequest.ts';
import type { RepairImagesEvent as _podwright_v1_RepairImagesEvent, RepairImagesEvent__Output as _podwright_v1_RepairImagesEvent__Output } from '../../podwright/v1/RepairImagesEvent.ts';
import type { SaveEvent as _podwright_v1_SaveEvent, SaveEvent__Output as _podwright_v1_SaveEvent__Output } from '../../podwright/v1/SaveEvent.ts';
import type { SaveRequest as _podwright_v1_SaveRequest, SaveRequest__Output as _podwright_v1_SaveRequest__Output } from '../../podwright/v1/SaveRequest.ts';
import type { ShutdownEvent as _podwright_v1_ShutdownEvent, ShutdownEvent__Output as _podwright_v1_ShutdownEvent__Output } from '../../podwright/v1/ShutdownEvent.ts';
import type { ShutdownRequest as _podwright_v1_ShutdownRequest, ShutdownRequest__Output as _podwright_v1_ShutdownRequest__Output } from '../../podwright/v1/ShutdownRequest.ts';
import type { TraceRequest as _podwright_v1_TraceRequest, TraceRequest__Output as _podwright_v1_TraceRequest__Output } from '../../podwright/v1/TraceRequest.ts';
import type { TraceResponse as _podwright_v1_TraceResponse, TraceResponse__Output as _podwright_v1_TraceResponse__Output } from '../../podwright/v1/TraceResponse.ts';
import type { VerifyImagesEvent as _podwright_v1_VerifyImagesEvent, VerifyImagesEvent__Output as _podwright_v1_VerifyImagesEvent__Output } from '../../podwright/v1/VerifyImagesEvent.ts';
import type { VerifyImagesRequest as _podwright_v1_VerifyImagesRequest, VerifyImagesRequest__Output as _podwright_v1_VerifyImagesRequest__Output } from '../../podwright/v1/VerifyImagesRequest.ts';

export interface AdminClient extends grpc.Client {
  Doctor(argument: _podwright_v1_DoctorRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_DoctorResponse__Output>): grpc.ClientUnaryCall;
  Doctor(argument: _podwright_v1_DoctorRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_DoctorResponse__Output>): grpc.ClientUnaryCall;
  Doctor(argument: _podwright_v1_DoctorRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_DoctorResponse__Output>): grpc.ClientUnaryCall;
  Doctor(argument: _podwright_v1_DoctorRequest, callback: grpc.requestCallback<_podwright_v1_DoctorResponse__Output>): grpc.ClientUnaryCall;
  doctor(argument: _podwright_v1_DoctorRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_DoctorResponse__Output>): grpc.ClientUnaryCall;
  doctor(argument: _podwright_v1_DoctorRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_DoctorResponse__Output>): grpc.ClientUnaryCall;
  doctor(argument: _podwright_v1_DoctorRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_DoctorResponse__Output>): grpc.ClientUnaryCall;
  doctor(argument: _podwright_v1_DoctorRequest, callback: grpc.requestCallback<_podwright_v1_DoctorResponse__Output>): grpc.ClientUnaryCall;
  
  ImageUsage(argument: _podwright_v1_ImageUsageRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_ImageUsageResponse__Output>): grpc.ClientUnaryCall;
  ImageUsage(argument: _podwright_v1_ImageUsageRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_ImageUsageResponse__Output>): grpc.ClientUnaryCall;
  ImageUsage(argument: _podwright_v1_ImageUsageRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_ImageUsageResponse__Output>): grpc.ClientUnaryCall;
  ImageUsage(argument: _podwright_v1_ImageUsageRequest, callback: grpc.requestCallback<_podwright_v1_ImageUsageResponse__Output>): grpc.ClientUnaryCall;
  imageUsage(argument: _podwright_v1_ImageUsageRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_ImageUsageResponse__Output>): grpc.ClientUnaryCall;
  imageUsage(argument: _podwright_v1_ImageUsageRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_ImageUsageResponse__Output>): grpc.ClientUnaryCall;
  imageUsage(argument: _podwright_v1_ImageUsageRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_ImageUsageResponse__Output>): grpc.ClientUnaryCall;
  imageUsage(argument: _podwright_v1_ImageUsageRequest, callback: grpc.requestCallback<_podwright_v1_ImageUsageResponse__Output>): grpc.ClientUnaryCall;
  
  Inspect(argument: _podwright_v1_InspectRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_InspectResponse__Output>): grpc.ClientUnaryCall;
  Inspect(argument: _podwright_v1_InspectRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_InspectResponse__Output>): grpc.ClientUnaryCall;
  Inspect(argument: _podwright_v1_InspectRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_InspectResponse__Output>): grpc.ClientUnaryCall;
  Inspect(argument: _podwright_v1_InspectRequest, callback: grpc.requestCallback<_podwright_v1_InspectResponse__Output>): grpc.ClientUnaryCall;
  inspect(argument: _podwright_v1_InspectRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_InspectResponse__Output>): grpc.ClientUnaryCall;
  inspect(argument: _podwright_v1_InspectRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_InspectResponse__Output>): grpc.ClientUnaryCall;
  inspect(argument: _podwright_v1_InspectRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_InspectResponse__Output>): grpc.ClientUnaryCall;
  inspect(argument: _podwright_v1_InspectRequest, callback: grpc.requestCallback<_podwright_v1_InspectResponse__Output>): grpc.ClientUnaryCall;
  
  Load(argument: _podwright_v1_LoadRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_LoadEvent__Output>;
  Load(argument: _podwright_v1_LoadRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_LoadEvent__Output>;
  load(argument: _podwright_v1_LoadRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_LoadEvent__Output>;
  load(argument: _podwright_v1_LoadRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_LoadEvent__Output>;
  
  PruneImages(argument: _podwright_v1_PruneImagesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_PruneImagesResponse__Output>): grpc.ClientUnaryCall;
  PruneImages(argument: _podwright_v1_PruneImagesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_PruneImagesResponse__Output>): grpc.ClientUnaryCall;
  PruneImages(argument: _podwright_v1_PruneImagesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_PruneImagesResponse__Output>): grpc.ClientUnaryCall;
  PruneImages(argument: _podwright_v1_PruneImagesRequest, callback: grpc.requestCallback<_podwright_v1_PruneImagesResponse__Output>): grpc.ClientUnaryCall;
  pruneImages(argument: _podwright_v1_PruneImagesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_PruneImagesResponse__Output>): grpc.ClientUnaryCall;
  pruneImages(argument: _podwright_v1_PruneImagesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_PruneImagesResponse__Output>): grpc.ClientUnaryCall;
  pruneImages(argument: _podwright_v1_PruneImagesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_PruneImagesResponse__Output>): grpc.ClientUnaryCall;
  pruneImages(argument: _podwright_v1_PruneImagesRequest, callback: grpc.requestCallback<_podwright_v1_PruneImagesResponse__Output>): grpc.ClientUnaryCall;
  
  Pull(argument: _podwright_v1_PullRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_PullEvent__Output>;
  Pull(argument: _podwright_v1_PullRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_PullEvent__Output>;
  pull(argument: _podwright_v1_PullRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_PullEvent__Output>;
  pull(argument: _podwright_v1_PullRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_PullEvent__Output>;
  
  Pulls(argument: _podwright_v1_PullsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_PullsResponse__Output>): grpc.ClientUnaryCall;
  Pulls(argument: _podwright_v1_PullsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_PullsResponse__Output>): grpc.ClientUnaryCall;
  Pulls(argument: _podwright_v1_PullsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_PullsResponse__Output>): grpc.ClientUnaryCall;
  Pulls(argument: _podwright_v1_PullsRequest, callback: grpc.requestCallback<_podwright_v1_PullsResponse__Output>): grpc.ClientUnaryCall;
  pulls(argument: _podwright_v1_PullsRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_PullsResponse__Output>): grpc.ClientUnaryCall;
  pulls(argument: _podwright_v1_PullsRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_PullsResponse__Output>): grpc.ClientUnaryCall;
  pulls(argument: _podwright_v1_PullsRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_PullsResponse__Output>): grpc.ClientUnaryCall;
  pulls(argument: _podwright_v1_PullsRequest, callback: grpc.requestCallback<_podwright_v1_PullsResponse__Output>): grpc.ClientUnaryCall;
  
  Push(argument: _podwright_v1_PushRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_PushEvent__Output>;
  Push(argument: _podwright_v1_PushRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_PushEvent__Output>;
  push(argument: _podwright_v1_PushRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_PushEvent__Output>;
  push(argument: _podwright_v1_PushRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_PushEvent__Output>;
  
  RepairImages(argument: _podwright_v1_VerifyImagesRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_RepairImagesEvent__Output>;
  RepairImages(argument: _podwright_v1_VerifyImagesRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_RepairImagesEvent__Output>;
  repairImages(argument: _podwright_v1_VerifyImagesRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_RepairImagesEvent__Output>;
  repairImages(argument: _podwright_v1_VerifyImagesRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_RepairImagesEvent__Output>;
  
  Save(argument: _podwright_v1_SaveRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_SaveEvent__Output>;
  Save(argument: _podwright_v1_SaveRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_SaveEvent__Output>;
  save(argument: _podwright_v1_SaveRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_SaveEvent__Output>;
  save(argument: _podwright_v1_SaveRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_SaveEvent__Output>;
  
  Shutdown(argument: _podwright_v1_ShutdownRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_ShutdownEvent__Output>;
  Shutdown(argument: _podwright_v1_ShutdownRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_ShutdownEvent__Output>;
  shutdown(argument: _podwright_v1_ShutdownRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_ShutdownEvent__Output>;
  shutdown(argument: _podwright_v1_ShutdownRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_ShutdownEvent__Output>;
  
  Trace(argument: _podwright_v1_TraceRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_TraceResponse__Output>): grpc.ClientUnaryCall;
  Trace(argument: _podwright_v1_TraceRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_TraceResponse__Output>): grpc.ClientUnaryCall;
  Trace(argument: _podwright_v1_TraceRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_TraceResponse__Output>): grpc.ClientUnaryCall;
  Trace(argument: _podwright_v1_TraceRequest, callback: grpc.requestCallback<_podwright_v1_TraceResponse__Output>): grpc.ClientUnaryCall;
  trace(argument: _podwright_v1_TraceRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_TraceResponse__Output>): grpc.ClientUnaryCall;
  trace(argument: _podwright_v1_TraceRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_podwright_v1_TraceResponse__Output>): grpc.ClientUnaryCall;
  trace(argument: _podwright_v1_TraceRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_podwright_v1_TraceResponse__Output>): grpc.ClientUnaryCall;
  trace(argument: _podwright_v1_TraceRequest, callback: grpc.requestCallback<_podwright_v1_TraceResponse__Output>): grpc.ClientUnaryCall;
  
  VerifyImages(argument: _podwright_v1_VerifyImagesRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_VerifyImagesEvent__Output>;
  VerifyImages(argument: _podwright_v1_VerifyImagesRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_VerifyImagesEvent__Output>;
  verifyImages(argument: _podwright_v1_VerifyImagesRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_VerifyImagesEvent__Output>;
  verifyImages(argument: _podwright_v1_VerifyImagesRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_podwright_v1_VerifyImagesEvent__Output>;
  
}

export interface AdminHandlers extends grpc.UntypedServiceImplementation {
  Doctor: grpc.handleUnaryCall<_podwright_v1_DoctorRequest__Output, _podwright_v1_DoctorResponse>;
  
  ImageUsage: grpc.handleUnaryCall<_podwright_v1_ImageUsageRequest__Output, _podwright_v1_ImageUsageResponse>;
  
  Inspect: grpc.handleUnaryCall<_podwright_v1_InspectRequest__Output, _podwright_v1_InspectResponse>;
  
  Load: grpc.handleServerStreamingCall<_podwright_v1_LoadRequest__Output, _podwright_v1_LoadEvent>;
  
  PruneImages: grpc.handleUnaryCall<_podwright_v1_PruneImagesRequest__Output, _podwright_v1_PruneImagesResponse>;
  
  Pull: grpc.handleServerStreamingCall<_podwright_v1_PullRequest__Output, _podwright_v1_PullEvent>;
  
  Pulls: grpc.handleUnaryCall<_podwright_v1_PullsRequest__Output, _podwright_v1_PullsResponse>;
  
  Push: grpc.handleServerStreamingCall<_podwright_v1_PushRequest__Output, _podwright_v1_PushEvent>;
  
  RepairImages: grpc.handleServerStreamingCall<_podwright_v1_VerifyImagesRequest__Output, _podwright_v1_RepairImagesEvent>;
  
  Save: grpc.handleServerStreamingCall<_podwright_v1_SaveRequest__Output, _podwright_v1_SaveEvent>;
  
  Shutdown: grpc.handleServerStreamingCall<_podwright_v1_ShutdownRequest__Output, _podwright_v1_ShutdownEvent>;
  
  Trace: grpc.handleUnaryCall<_podwright_v1_TraceRequest__Output, _podwright_v1_TraceResponse>;
  
  VerifyImages: grpc.handleServerStreamingCall<_podwright_v1_VerifyImagesRequest__Output, _podwright_v1_VerifyImagesEvent>;
  
}

export interface AdminDefinition extends grpc.ServiceDefinition {
  Doctor: MethodDefinition<_podwright_v1_DoctorRequest, _podwright_v1_DoctorResponse, _podwright_v1_DoctorRequest__Output, _podwright_v1_DoctorResponse__Output>
  ImageUsage: MethodDefinition<_podwright_v1_ImageUsageRequest, _podwright_v1_ImageUsageResponse, _podwright_v1_ImageUsageRequest__Output, _podwright_v1_ImageUsageResponse__Output>
  Inspect: MethodDefinition<_podwright_v1_InspectRequest, _podwright_v1_InspectResponse, _podwright_v1_InspectRequest__Output, _podwright_v1_InspectResponse__Output>
  Load: MethodDefinition<_podwright_v1_LoadRequest, _podwright_v1_LoadEvent, _podwright_v1_LoadRequest__Output, _podwright_v1_LoadEvent__Output>
  PruneImages: MethodDefinition<_podwright_v1_PruneImagesRequest, _podwright_v1_PruneImagesResponse, _podwright_v1_PruneImagesRequest__Output, _podwright_v1_PruneImagesResponse__Output>
  Pull: MethodDefinition<_podwright_v1_PullRequest, _podwright_v1_PullEvent, _podwright_v1_PullRequest__Output, _podwright_v1_PullEvent__Output>
  Pulls: MethodDefinition<_podwright_v1_PullsRequest, _podwright_v1_PullsResponse, _podwright_v1_PullsRequest__Output, _podwright_v1_PullsResponse__Output>
  Push: MethodDefinition<_podwright_v1_PushRequest, _podwright_v1_PushEvent, _podwright_v1_PushRequest__Output, _podwright_v1_PushEvent__Output>
  RepairImages: MethodDefinition<_podwright_v1_VerifyImagesRequest, _podwright_v1_RepairImagesEvent, _podwright_v1_VerifyImagesRequest__Output, _podwright_v1_RepairImagesEvent__Output>
  Save: MethodDefinition<_podwright_v1_SaveRequest, _podwright_v1_SaveEvent, _podwright_v1_SaveRequest__Output, _podwright_v1_SaveEvent__Output>
  Shutdown: MethodDefinition<_podwright_v1_ShutdownRequest, _podwright_v1_ShutdownEvent, _podwright_v1_ShutdownRequest__Output, _podwright_v1_ShutdownEvent__Output>
  Trace: MethodDefinition<_podwright_v1_TraceRequest, _podwright_v1_TraceResponse, _podwright_v1_TraceRequest__Output, _podwright_v1_TraceResponse__Output>
  VerifyImages: MethodDefinition<_podwright_v1_VerifyImagesRequest, _podwright_v1_VerifyImagesEvent, _podwright_v1_VerifyImagesRequest__Output, _podwright_v1_VerifyImagesEvent__Output>
}
