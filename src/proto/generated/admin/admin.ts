import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { AdminClient as _podwright_v1_AdminClient, AdminDefinition as _podwright_v1_AdminDefinition } from './podwright/v1/Admin.ts';
import type { ContentFinding as _podwright_v1_ContentFinding, ContentFinding__Output as _podwright_v1_ContentFinding__Output } from './podwright/v1/ContentFinding.ts';
import type { DoctorRequest as _podwright_v1_DoctorRequest, DoctorRequest__Output as _podwright_v1_DoctorRequest__Output } from './podwright/v1/DoctorRequest.ts';
import type { DoctorResponse as _podwright_v1_DoctorResponse, DoctorResponse__Output as _podwright_v1_DoctorResponse__Output } from './podwright/v1/DoctorResponse.ts';
import type { Finding as _podwright_v1_Finding, Finding__Output as _podwright_v1_Finding__Output } from './podwright/v1/Finding.ts';
import type { ImageUsageRequest as _podwright_v1_ImageUsageRequest, ImageUsageRequest__Output as _podwright_v1_ImageUsageRequest__Output } from './podwright/v1/ImageUsageRequest.ts';
import type { ImageUsageResponse as _podwright_v1_ImageUsageResponse, ImageUsageResponse__Output as _podwright_v1_ImageUsageResponse__Output } from './podwright/v1/ImageUsageResponse.ts';
import type { InspectRequest as _podwright_v1_InspectRequest, InspectRequest__Output as _podwright_v1_InspectRequest__Output } from './podwright/v1/InspectRequest.ts';
import type { InspectResponse as _podwright_v1_InspectResponse, InspectResponse__Output as _podwright_v1_InspectResponse__Output } from './podwright/v1/InspectResponse.ts';
import type { LoadEvent as _podwright_v1_LoadEvent, LoadEvent__Output as _podwright_v1_LoadEvent__Output } from './podwright/v1/LoadEvent.ts';
import type { LoadRequest as _podwright_v1_LoadRequest, LoadRequest__Output as _podwright_v1_LoadRequest__Output } from './podwright/v1/LoadRequest.ts';
import type { LoadStep as _podwright_v1_LoadStep, LoadStep__Output as _podwright_v1_LoadStep__Output } from './podwright/v1/LoadStep.ts';
import type { LoadedImage as _podwright_v1_LoadedImage, LoadedImage__Output as _podwright_v1_LoadedImage__Output } from './podwright/v1/LoadedImage.ts';
import type { PruneImagesRequest as _podwright_v1_PruneImagesRequest, PruneImagesRequest__Output as _podwright_v1_PruneImagesRequest__Output } from './podwright/v1/PruneImagesRequest.ts';
import type { PruneImagesResponse as _podwright_v1_PruneImagesResponse, PruneImagesResponse__Output as _podwright_v1_PruneImagesResponse__Output } from './podwright/v1/PruneImagesResponse.ts';
import type { PrunedImage as _podwright_v1_PrunedImage, PrunedImage__Output as _podwright_v1_PrunedImage__Output } from './podwright/v1/PrunedImage.ts';
import type { PullEvent as _podwright_v1_PullEvent, PullEvent__Output as _podwright_v1_PullEvent__Output } from './podwright/v1/PullEvent.ts';
import type { PullRequest as _podwright_v1_PullRequest, PullRequest__Output as _podwright_v1_PullRequest__Output } from './podwright/v1/PullRequest.ts';
import type { PulledLayer as _podwright_v1_PulledLayer, PulledLayer__Output as _podwright_v1_PulledLayer__Output } from './podwright/v1/PulledLayer.ts';
import type { PullsRequest as _podwright_v1_PullsRequest, PullsRequest__Output as _podwright_v1_PullsRequest__Output } from './podwright/v1/PullsRequest.ts';
import type { PullsResponse as _podwright_v1_PullsResponse, PullsResponse__Output as _podwright_v1_PullsResponse__Output } from './podwright/v1/PullsResponse.ts';
import type { PushEvent as _podwright_v1_PushEvent, PushEvent__Output as _podwright_v1_PushEvent__Output } from './podwright/v1/PushEvent.ts';
import type { PushRequest as _podwright_v1_PushRequest, PushRequest__Output as _podwright_v1_PushRequest__Output } from './podwright/v1/PushRequest.ts';
import type { PushedImage as _podwright_v1_PushedImage, PushedImage__Output as _podwright_v1_PushedImage__Output } from './podwright/v1/PushedImage.ts';
import type { RepairImagesEvent as _podwright_v1_RepairImagesEvent, RepairImagesEvent__Output as _podwright_v1_RepairImagesEvent__Output } from './podwright/v1/RepairImagesEvent.ts';
import type { RepairedImage as _podwright_v1_RepairedImage, RepairedImage__Output as _podwright_v1_RepairedImage__Output } from './podwright/v1/RepairedImage.ts';
import type { RunningPull as _podwright_v1_RunningPull, RunningPull__Output as _podwright_v1_RunningPull__Output } from './podwright/v1/RunningPull.ts';
import type { SaveEvent as _podwright_v1_SaveEvent, SaveEvent__Output as _podwright_v1_SaveEvent__Output } from './podwright/v1/SaveEvent.ts';
import type { SaveRequest as _podwright_v1_SaveRequest, SaveRequest__Output as _podwright_v1_SaveRequest__Output } from './podwright/v1/SaveRequest.ts';
import type { SavedImage as _podwright_v1_SavedImage, SavedImage__Output as _podwright_v1_SavedImage__Output } from './podwright/v1/SavedImage.ts';
import type { ShutdownEvent as _podwright_v1_ShutdownEvent, ShutdownEvent__Output as _podwright_v1_ShutdownEvent__Output } from './podwright/v1/ShutdownEvent.ts';
import type { ShutdownRequest as _podwright_v1_ShutdownRequest, ShutdownRequest__Output as _podwright_v1_ShutdownRequest__Output } from './podwright/v1/ShutdownRequest.ts';
import type { TraceRequest as _podwright_v1_TraceRequest, TraceRequest__Output as _podwright_v1_TraceRequest__Output } from './podwright/v1/TraceRequest.ts';
import type { TraceResponse as _podwright_v1_TraceResponse, TraceResponse__Output as _podwright_v1_TraceResponse__Output } from './podwright/v1/TraceResponse.ts';
import type { TracedCall as _podwright_v1_TracedCall, TracedCall__Output as _podwright_v1_TracedCall__Output } from './podwright/v1/TracedCall.ts';
import type { TracedStage as _podwright_v1_TracedStage, TracedStage__Output as _podwright_v1_TracedStage__Output } from './podwright/v1/TracedStage.ts';
import type { UsageRow as _podwright_v1_UsageRow, UsageRow__Output as _podwright_v1_UsageRow__Output } from './podwright/v1/UsageRow.ts';
import type { VerifyImagesEvent as _podwright_v1_VerifyImagesEvent, VerifyImagesEvent__Output as _podwright_v1_VerifyImagesEvent__Output } from './podwright/v1/VerifyImagesEvent.ts';
import type { VerifyImagesRequest as _podwright_v1_VerifyImagesRequest, VerifyImagesRequest__Output as _podwright_v1_VerifyImagesRequest__Output } from './podwright/v1/VerifyImagesRequest.ts';
import type { VerifyImagesResult as _podwright_v1_VerifyImagesResult, VerifyImagesResult__Output as _podwright_v1_VerifyImagesResult__Output } from './podwright/v1/VerifyImagesResult.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  podwright: {
    v1: {
      Admin: SubtypeConstructor<typeof grpc.Client, _podwright_v1_AdminClient> & { service: _podwright_v1_AdminDefinition }
      ContentFinding: MessageTypeDefinition<_podwright_v1_ContentFinding, _podwright_v1_ContentFinding__Output>
      DoctorRequest: MessageTypeDefinition<_podwright_v1_DoctorRequest, _podwright_v1_DoctorRequest__Output>
      DoctorResponse: MessageTypeDefinition<_podwright_v1_DoctorResponse, _podwright_v1_DoctorResponse__Output>
      Finding: MessageTypeDefinition<_podwright_v1_Finding, _podwright_v1_Finding__Output>
      ImageUsageRequest: MessageTypeDefinition<_podwright_v1_ImageUsageRequest, _podwright_v1_ImageUsageRequest__Output>
      ImageUsageResponse: MessageTypeDefinition<_podwright_v1_ImageUsageResponse, _podwright_v1_ImageUsageResponse__Output>
      InspectRequest: MessageTypeDefinition<_podwright_v1_InspectRequest, _podwright_v1_InspectRequest__Output>
      InspectResponse: MessageTypeDefinition<_podwright_v1_InspectResponse, _podwright_v1_InspectResponse__Output>
      LoadEvent: MessageTypeDefinition<_podwright_v1_LoadEvent, _podwright_v1_LoadEvent__Output>
      LoadRequest: MessageTypeDefinition<_podwright_v1_LoadRequest, _podwright_v1_LoadRequest__Output>
      LoadStep: MessageTypeDefinition<_podwright_v1_LoadStep, _podwright_v1_LoadStep__Output>
      LoadedImage: MessageTypeDefinition<_podwright_v1_LoadedImage, _podwright_v1_LoadedImage__Output>
      PruneImagesRequest: MessageTypeDefinition<_podwright_v1_PruneImagesRequest, _podwright_v1_PruneImagesRequest__Output>
      PruneImagesResponse: MessageTypeDefinition<_podwright_v1_PruneImagesResponse, _podwright_v1_PruneImagesResponse__Output>
      PrunedImage: MessageTypeDefinition<_podwright_v1_PrunedImage, _podwright_v1_PrunedImage__Output>
      PullEvent: MessageTypeDefinition<_podwright_v1_PullEvent, _podwright_v1_PullEvent__Output>
      PullRequest: MessageTypeDefinition<_podwright_v1_PullRequest, _podwright_v1_PullRequest__Output>
      PulledLayer: MessageTypeDefinition<_podwright_v1_PulledLayer, _podwright_v1_PulledLayer__Output>
      PullsRequest: MessageTypeDefinition<_podwright_v1_PullsRequest, _podwright_v1_PullsRequest__Output>
      PullsResponse: MessageTypeDefinition<_podwright_v1_PullsResponse, _podwright_v1_PullsResponse__Output>
      PushEvent: MessageTypeDefinition<_podwright_v1_PushEvent, _podwright_v1_PushEvent__Output>
      PushRequest: MessageTypeDefinition<_podwright_v1_PushRequest, _podwright_v1_PushRequest__Output>
      PushedImage: MessageTypeDefinition<_podwright_v1_PushedImage, _podwright_v1_PushedImage__Output>
      RepairImagesEvent: MessageTypeDefinition<_podwright_v1_RepairImagesEvent, _podwright_v1_RepairImagesEvent__Output>
      RepairedImage: MessageTypeDefinition<_podwright_v1_RepairedImage, _podwright_v1_RepairedImage__Output>
      RunningPull: MessageTypeDefinition<_podwright_v1_RunningPull, _podwright_v1_RunningPull__Output>
      SaveEvent: MessageTypeDefinition<_podwright_v1_SaveEvent, _podwright_v1_SaveEvent__Output>
      SaveRequest: MessageTypeDefinition<_podwright_v1_SaveRequest, _podwright_v1_SaveRequest__Output>
      SavedImage: MessageTypeDefinition<_podwright_v1_SavedImage, _podwright_v1_SavedImage__Output>
      ShutdownEvent: MessageTypeDefinition<_podwright_v1_ShutdownEvent, _podwright_v1_ShutdownEvent__Output>
      ShutdownRequest: MessageTypeDefinition<_podwright_v1_ShutdownRequest, _podwright_v1_ShutdownRequest__Output>
      TraceRequest: MessageTypeDefinition<_podwright_v1_TraceRequest, _podwright_v1_TraceRequest__Output>
      TraceResponse: MessageTypeDefinition<_podwright_v1_TraceResponse, _podwright_v1_TraceResponse__Output>
      TracedCall: MessageTypeDefinition<_podwright_v1_TracedCall, _podwright_v1_TracedCall__Output>
      TracedStage: MessageTypeDefinition<_podwright_v1_TracedStage, _podwright_v1_TracedStage__Output>
      UsageRow: MessageTypeDefinition<_podwright_v1_UsageRow, _podwright_v1_UsageRow__Output>
      VerifyImagesEvent: MessageTypeDefinition<_podwright_v1_VerifyImagesEvent, _podwright_v1_VerifyImagesEvent__Output>
      VerifyImagesRequest: MessageTypeDefinition<_podwright_v1_VerifyImagesRequest, _podwright_v1_VerifyImagesRequest__Output>
      VerifyImagesResult: MessageTypeDefinition<_podwright_v1_VerifyImagesResult, _podwright_v1_VerifyImagesResult__Output>
    }
  }
}

