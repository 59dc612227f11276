/** How answers are sent. */
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import type { BytesAnswer } from "./api/route.ts";

/** A signal that aborts when whoever asked is gone, or has the whole answer. */
export function gone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => controller.abort());
  return controller.signal;
}

/** An answer that is bytes; the headers are its own. */
export function sendBytes(reply: FastifyReply, answer: BytesAnswer): FastifyReply {
  reply.code(answer.status ?? 200);
  // Set here, not by the library: that would add a charset to a type that has none.
  for (const [name, value] of Object.entries(answer.headers)) reply.header(name, value);
  const { body } = answer;
  // Who reads a log that has nothing in it yet is to know that there will be something.
  reply.raw.once("pipe", () => reply.raw.flushHeaders());
  return reply.send(typeof body === "string" ? Readable.from([body]) : body);
}

/** The members of what may be an object. */
export function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
