// The gRPC border of the admin service: decode, verb, encode, one log line and one observation per call.
// Must not know what a verb does, or how the CRI's own border works: both are handed in.
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { cancelled, Failure, invalidArgument } from '../lib/failure.ts';
import { adminServiceDefinition } from '../proto/admin-codec.ts';
import type { AdminHandlers } from '../proto/generated/admin/podwright/v1/Admin.ts';
import { encodeCall, encodeInspection } from './encode.ts';
import { serveRepair, serveSave, serveVerify, stepWriter } from './image-verbs.ts';
import { servePull, servePush } from './registry-verbs.ts';
import { encodePull } from './running-pull.ts';
import type { AdminVerbs } from './verbs.ts';

/** What the border needs of the house. */
export interface AdminPorts {
  readonly log: AdminLog;
  /** The gRPC status of a thrown value: code by name and number, and message. */
  readonly statusOf: (error: unknown) => { readonly code: string; readonly number: number; readonly message: string };
  /** Called once per call with the name of its code. */
  readonly observe: (method: string, code: string, seconds: number) => void;
  readonly elapsedMs: () => number;
  /** Called when Shutdown has been answered. */
  readonly onShutdown: () => void;
}

/** Where the border logs. */
export interface AdminLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A service as grpc-js takes it. */
export interface AdminService {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

/** The admin service over its verbs. */
export function adminService(verbs: AdminVerbs, ports: AdminPorts): AdminService {
  const handlers: AdminHandlers = {
    Load: streaming('Load', ports, (call, signal) => load(call, verbs, signal)),
    Pull: streaming('Pull', ports, (call, signal) => servePull(call, verbs, signal)),
    Push: streaming('Push', ports, (call, signal) => servePush(call, verbs, signal)),
    Pulls: unary('Pulls', ports, async () => ({ pulls: (await verbs.pulls()).map(encodePull) })),
    Save: streaming('Save', ports, (call, signal) => serveSave(call, verbs, signal)),
    VerifyImages: streaming('VerifyImages', ports, (call, signal) => serveVerify(call, verbs, signal)),
    RepairImages: streaming('RepairImages', ports, (call, signal) => serveRepair(call, verbs, signal)),
    PruneImages: unary('PruneImages', ports, async ({ all }) => ({
      images: (await verbs.pruneImages(all)).map((one) => ({ ...one, tags: [...one.tags] })),
    })),
    ImageUsage: unary('ImageUsage', ports, async () => ({ rows: [...(await verbs.imageUsage())] })),
    Trace: unary('Trace', ports, async ({ sandboxId }) => ({ calls: (await verbs.trace(sandboxId)).map(encodeCall) })),
    Inspect: unary('Inspect', ports, async ({ id }) => encodeInspection(await verbs.inspect(id))),
    Doctor: unary('Doctor', ports, async ({ collect }) => ({ findings: [...(await verbs.doctor({ collect }))] })),
    Shutdown: streaming('Shutdown', ports, async (call) => {
      try {
        await verbs.shutdown((step) => void call.write({ step }));
      } finally {
        // what could not be ended is told, and does not keep the daemon
        ports.onShutdown();
      }
    }),
  };
  return { definition: adminServiceDefinition(), handlers: handlers as UntypedServiceImplementation };
}

type LoadCall = Parameters<AdminHandlers['Load']>[0];

async function load(call: LoadCall, verbs: AdminVerbs, signal: AbortSignal): Promise<void> {
  const { path, reference } = call.request;
  if (!path.startsWith('/')) throw invalidArgument(`path must be absolute, not ${JSON.stringify(path)}`);
  const images = await verbs.load({ path, reference }, stepWriter(call as never), signal);
  for (const { id, tags } of images) call.write({ image: { id, tags: [...tags] } });
}

/** One call's end, told to log and metrics. */
function finisher(method: string, ports: AdminPorts) {
  const started = ports.elapsedMs();
  return (error: unknown): { code: number; details: string } | null => {
    const status = error === null ? null : ports.statusOf(error);
    const code = status?.code ?? 'OK';
    const seconds = (ports.elapsedMs() - started) / 1000;
    ports.observe(method, code, seconds);
    const fields = { method, code, ms: Math.round(seconds * 1e3) };
    if (status === null) ports.log.info(fields, 'admin call served');
    else if (error instanceof Failure) ports.log.warn({ ...fields, error }, 'admin call refused');
    else ports.log.error({ ...fields, error }, 'admin call hit a bug');
    return status && { code: status.number, details: status.message };
  };
}

function unary<Request, Response>(
  method: string,
  ports: AdminPorts,
  serve: (request: Request) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const finish = finisher(method, ports);
    serve(call.request).then(
      (response) => {
        finish(null);
        callback(null, response);
      },
      (error: unknown) => callback(finish(error)),
    );
  };
}

function streaming<Request, Response>(
  method: string,
  ports: AdminPorts,
  serve: (call: ServerWritableStream<Request, Response>, signal: AbortSignal) => Promise<void>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const finish = finisher(method, ports);
    const abort = new AbortController();
    const gone = (): void => abort.abort(cancelled(`${method} was cancelled by its caller`));
    call.once('cancelled', gone);
    serve(call, abort.signal).then(
      () => {
        call.off('cancelled', gone);
        finish(null);
        call.end();
      },
      (error: unknown) => {
        call.off('cancelled', gone);
        const status = finish(error);
        call.emit('error', status);
      },
    );
  };
}
