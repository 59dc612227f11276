/** The OpenAPI document, made of the routes and the schemas that check them. */
import { z } from "zod";
import { kilnVersion } from "../../server/version.ts";
import type { Route } from "./route.ts";
import { fault, named } from "./schemas.ts";

type Json = Readonly<Record<string, unknown>>;

const reference = (id: string): string => `#/components/schemas/${id}`;

/** The document as JSON. */
export function openApiDocument(routes: readonly Route[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = (paths[`/api/v1${route.path}`] ??= {});
    path[route.method.toLowerCase()] = operationOf(route);
  }
  const { schemas } = z.toJSONSchema(named, { uri: reference, io: "output" });
  return {
    openapi: "3.1.1",
    info: {
      title: "Kiln",
      version: kilnVersion,
      description:
        "Builds, logs and store objects of one Kiln daemon. Nothing is changed but by POST, which an administrator's token permits.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).map(([id, s]) => [id, withoutID(s)])),
      securitySchemes: { administrator: { type: "http", scheme: "bearer" } },
    },
  };
}

function operationOf(route: Route): Json {
  const { method, path, summary } = route;
  const input = inputOf(route);
  const inPath = new Set(Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = ""]) => name));
  const entries = Object.entries(input.properties);
  const isBody = method === "POST";
  const parameters = entries
    .filter(([name]) => inPath.has(name) || !isBody)
    .map(([name, schema]) => ({
      name,
      in: inPath.has(name) ? "path" : "query",
      required: inPath.has(name) || input.required.includes(name),
      schema,
    }));
  const body = Object.fromEntries(entries.filter(([name]) => isBody && !inPath.has(name)));
  const operation: Record<string, unknown> = {
    operationId: operationName(method, path),
    summary,
    parameters,
    responses: { "200": contentOf(route), default: problem },
  };
  if (isBody) {
    operation["security"] = [{ administrator: [] }];
    const required = input.required.filter((name) => name in body);
    operation["requestBody"] = {
      required: required.length > 0,
      content: { "application/json": { schema: { type: "object", properties: body, required } } },
    };
  }
  return operation;
}

const problem: Json = {
  description: "Why there is no answer",
  content: { "application/json": { schema: schemaOf(fault) } },
};

function contentOf(answer: Route): Json {
  if (answer.type === "json") {
    return {
      description: "The answer",
      content: { "application/json": { schema: schemaOf(answer.schema) } },
    };
  }
  if (answer.type === "bytes") {
    return {
      description: "The bytes",
      content: { [answer.contentType]: { schema: { type: "string", format: "binary" } } },
    };
  }
  const names = Object.keys(answer.events).map((name) => (name === "" ? "message" : name));
  return {
    description: `Server-sent events (${names.join(", ")}), each with JSON as its data`,
    content: {
      "text/event-stream": { schema: { anyOf: Object.values(answer.events).map(schemaOf) } },
    },
  };
}

/** A schema that has a name is referred to by it. */
function schemaOf(schema: z.ZodType): Json {
  const id = named.get(schema)?.id;
  if (id !== undefined) return { $ref: reference(id) };
  return withoutID(z.toJSONSchema(schema, { io: "output", unrepresentable: "any" }));
}

function inputOf({ params }: Route): {
  properties: Readonly<Record<string, unknown>>;
  required: readonly string[];
} {
  const { properties = {}, required = [] } = z.toJSONSchema(params, {
    io: "input",
    unrepresentable: "any",
  });
  return { properties, required };
}

/** `getBuilds` for `/builds`, `getBuildLogLines` for `/builds/{id}/log/lines`. */
function operationName(method: string, path: string): string {
  const parts = path.split("/").filter((part) => part !== "");
  const words = parts.map((part, i) => {
    if (part.startsWith("{")) return "";
    const word = parts[i + 1]?.startsWith("{") === true ? part.replace(/s$/, "") : part;
    return word.charAt(0).toUpperCase() + word.slice(1);
  });
  return `${method === "GET" ? "get" : "do"}${words.join("")}`;
}

function withoutID(schema: object): Json {
  return Object.fromEntries(
    Object.entries(schema).filter(([key]) => key !== "$id" && key !== "$schema" && key !== "id"),
  );
}
