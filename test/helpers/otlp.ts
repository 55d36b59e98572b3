// A collector of traces for tests: OTLP over HTTP and over gRPC, its spans decoded.
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type sendUnaryData, Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

// github.com/open-telemetry/opentelemetry-proto, trace/v1/trace.proto and what it needs, as far as tests look at it
const proto = `
syntax = "proto3";
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
message KeyValue { string key = 1; AnyValue value = 2; }
message Resource { repeated KeyValue attributes = 1; }
message Status { string message = 2; int32 code = 3; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; Status status = 15;
}
message ScopeSpans { repeated Span spans = 2; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Request { repeated ResourceSpans resource_spans = 1; }
`;
const requestType = protobuf.parse(proto, { keepCase: true }).root.lookupType('Request');

/** A span as tests look at it; ids are hex. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** 1 internal, 2 server. */
  readonly kind: number;
  /** Unix nanoseconds. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly resource: Readonly<Record<string, string | number>>;
  /** 0 unset, 1 ok, 2 error. */
  readonly statusCode: number;
  readonly statusMessage: string;
}

interface KeyValue {
  readonly key: string;
  readonly value?: Readonly<Record<string, string | number>>;
}

const record = (list: readonly KeyValue[] = []): Record<string, string | number> =>
  Object.fromEntries(list.map(({ key, value = {} }) => [key, Object.values(value)[0] ?? '']));

/** The spans of an ExportTraceServiceRequest. */
export function decodeSpans(bytes: Uint8Array): ReceivedSpan[] {
  const options = { longs: String, bytes: Buffer, defaults: true } as const;
  const request = requestType.toObject(requestType.decode(bytes), options) as {
    readonly resource_spans: readonly {
      readonly resource?: { readonly attributes: readonly KeyValue[] };
      readonly scope_spans: readonly { readonly spans: readonly Record<string, never>[] }[];
    }[];
  };
  return request.resource_spans.flatMap(({ resource, scope_spans }) =>
    scope_spans.flatMap(({ spans }) => spans.map((span) => spanOf(span, record(resource?.attributes)))),
  );
}

const spanOf = (span: Record<string, never>, resource: ReceivedSpan['resource']): ReceivedSpan => {
  const hex = (bytes: Buffer): string => bytes.toString('hex');
  const status = (span['status'] ?? {}) as { code?: number; message?: string };
  return {
    traceId: hex(span['trace_id'] ?? Buffer.alloc(0)),
    spanId: hex(span['span_id'] ?? Buffer.alloc(0)),
    parentSpanId: hex(span['parent_span_id'] ?? Buffer.alloc(0)),
    traceState: span['trace_state'] ?? '',
    name: span['name'] ?? '',
    kind: span['kind'] ?? 0,
    start: BigInt(span['start_time_unix_nano'] ?? 0),
    end: BigInt(span['end_time_unix_nano'] ?? 0),
    attributes: record(span['attributes']),
    resource,
    statusCode: status.code ?? 0,
    statusMessage: status.message ?? '',
  };
};

/** Collects what daemons export. */
export class Collector {
  readonly spans: ReceivedSpan[] = [];
  /** Headers of the last export over HTTP. */
  headers: Readonly<Record<string, unknown>> = {};
  /** What exports are answered with. */
  answer: 'take' | 'refuse' | 'hang' = 'take';
  #http: HttpServer | null = null;
  #grpc: GrpcServer | null = null;

  /** Listens for OTLP over HTTP; answers the endpoint. */
  async listenHttp(): Promise<string> {
    this.#http = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        if (this.answer === 'hang') return;
        this.headers = request.headers;
        const good = this.answer === 'take' && request.url === '/v1/traces';
        if (good) this.spans.push(...decodeSpans(Buffer.concat(parts)));
        response.writeHead(good ? 200 : 400, { 'content-type': 'application/x-protobuf' }).end();
      });
    });
    await new Promise<void>((resolve) => this.#http?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Listens for OTLP over gRPC; answers the endpoint. */
  async listenGrpc(): Promise<string> {
    const server = new GrpcServer();
    this.#grpc = server;
    const take = ({ request }: { request: Buffer }, done: sendUnaryData<Buffer>): void => {
      this.spans.push(...decodeSpans(request));
      done(null, Buffer.alloc(0));
    };
    const whole = (bytes: Buffer): Buffer => bytes;
    server.addService(
      {
        Export: {
          path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
          requestStream: false,
          responseStream: false,
          requestSerialize: whole,
          requestDeserialize: whole,
          responseSerialize: whole,
          responseDeserialize: whole,
        },
      },
      { Export: take },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    return `http://127.0.0.1:${port}`;
  }

  /** Spans by name, in the order in which they came. */
  named = (name: string): ReceivedSpan[] => this.spans.filter((span) => span.name === name);

  close(): void {
    this.#http?.closeAllConnections();
    this.#http?.close();
    this.#grpc?.forceShutdown();
  }
}
