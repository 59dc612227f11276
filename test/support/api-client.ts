/** Asks the HTTP API, and holds every answer against the OpenAPI document that the server itself gives out. */
import assert from "node:assert/strict";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";

interface Media {
  readonly schema: object;
}

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, { readonly content: Record<string, Media> }>>;
}

export interface ApiDocument {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

export interface Asking {
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The status that is wanted; default 200. */
  readonly status?: number;
}

/** One message of an event stream. */
export interface StreamedEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

export class ApiClient {
  readonly document: ApiDocument;
  /** Operations that answered with what they promise. */
  readonly asked = new Set<string>();
  readonly #url: string;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });

  private constructor(url: string, document: ApiDocument) {
    this.#url = url;
    this.document = document;
    formats.default(this.#ajv);
    this.#ajv.addSchema({ $id: "document", ...document });
  }

  static async open(url: string): Promise<ApiClient> {
    const response = await fetch(new URL("/api/v1/openapi.json", url));
    assert.equal(response.status, 200);
    return new ApiClient(url, (await response.json()) as ApiDocument);
  }

  /** An answer in JSON, checked; `path` is below /api/v1, `{name}` filled from the query. */
  async json<T>(method: "get" | "post", path: string, asking: Asking = {}): Promise<T> {
    const { status = 200 } = asking;
    const response = await this.#send(method, path, asking);
    const text = await response.text();
    assert.equal(response.status, status, `${method} ${path}: ${text}`);
    assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
    const answer = JSON.parse(text) as T;
    const { operationId, responses } = this.#operation(method, path);
    const media = (status === 200 ? responses["200"] : responses["default"])?.content;
    this.#check(media?.["application/json"], answer, `${operationId} ${status}`);
    if (status === 200) this.asked.add(operationId);
    return answer;
  }

  /** An answer that is bytes. */
  async bytes(path: string, asking: Asking = {}): Promise<{ response: Response; bytes: Buffer }> {
    const response = await this.#send("get", path, asking);
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.equal(response.status, asking.status ?? 200, bytes.toString());
    const { operationId, responses } = this.#operation("get", path);
    const [type] = Object.keys(responses["200"]?.content ?? {});
    if (response.ok && asking.query?.["download"] === undefined)
      assert.equal(response.headers.get("content-type"), type);
    this.asked.add(operationId);
    return { response, bytes };
  }

  /** The messages of an event stream, checked, until it ends or the reader breaks off. */
  async *events(path: string, asking: Asking = {}): AsyncGenerator<StreamedEvent, void, undefined> {
    const abort = new AbortController();
    const response = await this.#send("get", path, asking, abort.signal);
    assert.equal(response.status, 200);
    const { operationId, responses } = this.#operation("get", path);
    const media = responses["200"]?.content["text/event-stream"];
    this.asked.add(operationId);
    try {
      for await (const message of messagesOf(response)) {
        if (message.event !== "end") this.#check(media, message.data, operationId);
        yield message;
      }
    } finally {
      abort.abort();
    }
  }

  async #send(
    method: "get" | "post",
    path: string,
    { query = {}, body, headers = {} }: Asking,
    signal?: AbortSignal,
  ): Promise<Response> {
    const rest = new Map(Object.entries(query).map(([name, value]) => [name, String(value)]));
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const value = rest.get(name) ?? "";
      rest.delete(name);
      return encodeURIComponent(value);
    });
    const url = new URL(`/api/v1${filled}?${new URLSearchParams([...rest]).toString()}`, this.#url);
    const json = body === undefined ? {} : { "content-type": "application/json" };
    return await fetch(url, {
      method: method.toUpperCase(),
      headers: { ...json, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #operation(method: string, path: string): Operation {
    const operation = this.document.paths[`/api/v1${path}`]?.[method];
    assert.ok(operation, `the document has no ${method} ${path}`);
    return operation;
  }

  #check(media: Media | undefined, value: unknown, what: string): void {
    assert.ok(media, `${what} is not in the document`);
    // References are to the whole document.
    const text = JSON.stringify(media.schema).replaceAll('"#/', '"document#/');
    const check: ValidateFunction = this.#ajv.compile(JSON.parse(text) as object);
    const problems = check(value) ? [] : (check.errors ?? []);
    assert.deepEqual(
      problems.map(({ instancePath, message }) => `${instancePath} ${message}`),
      [],
      `${what}: ${JSON.stringify(value).slice(0, 2000)}`,
    );
  }
}

async function* messagesOf(response: Response): AsyncGenerator<StreamedEvent, void, undefined> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    for (let end; (end = text.indexOf("\n\n")) !== -1; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split("\n");
      const field = (name: string): string | undefined =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field("data");
      if (data === undefined) continue;
      yield { event: field("event") ?? "", id: field("id"), data: JSON.parse(data) };
    }
  }
}
