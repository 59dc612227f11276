/** zb's routes, as people and scripts know them; the page draws what they show. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { parseStorePath, isDerivationPath, type StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { WebContext } from "./context.ts";
import { preloadHeader } from "./first-questions.ts";
import { escapeHtml, shell } from "./page.ts";
import { rawLog } from "./raw-log.ts";
import { gone, recordOf, sendBytes } from "./reply.ts";

/** Addresses of the page that show the same whatever there is. */
const plainPages = ["/", "/store/", "/store/object", "/store/derivation", "/roots/", "/health/"];

export function addPageRoutes(app: FastifyInstance, { server }: WebContext): void {
  for (const path of plainPages) {
    app.get(path, async (_request, reply) => sendShell(reply, 200, list(server)));
  }
  app.get("/build/", async (request, reply) => {
    const { id: given } = recordOf(request.query);
    const id = typeof given === "string" ? given.trim() : "";
    const target = id === "" ? "/" : `/build/${encodeURIComponent(completeID(id, server))}/`;
    return await reply.code(303).header("location", target).send();
  });
  app.get<{ Params: { id: string } }>("/build/:id", async (request, reply) => {
    const id = encodeURIComponent(request.params.id);
    return await reply.code(307).header("location", `/build/${id}/`).send();
  });
  app.get<{ Params: { id: string } }>("/build/:id/", async (request, reply) => {
    const inspected = server.builds.records.inspect(request.params.id);
    if (inspected === undefined)
      return sendShell(reply, 404, searchForm("There is no such build."));
    // Most results of a large build were there, and have no log: the page comes sooner without them.
    const ran = inspected.results.filter(({ builderStartedAt }) => builderStartedAt !== undefined);
    const logs = ran.map(
      ({ drvPath, name }) =>
        `<li><a href="/build/${request.params.id}/log?drvPath=${encodeURIComponent(drvPath)}">log of ${escapeHtml(name)}</a>`,
    );
    return sendShell(reply, 200, `<ul>${logs.join("")}</ul>`);
  });
  app.get<{ Params: { id: string } }>("/build/:id/result", async (request, reply) => {
    const { id } = request.params;
    const drvPath = derivationIn(request);
    const known = server.builds.records
      .inspect(id)
      ?.results.some((result) => result.drvPath === drvPath);
    if (drvPath === undefined || known !== true) {
      return sendShell(reply, 404, searchForm("There is no such result."));
    }
    const href = `/build/${encodeURIComponent(id)}/log?drvPath=${encodeURIComponent(drvPath)}`;
    return sendShell(reply, 200, `<p><a href="${escapeHtml(href)}">The log</a>`);
  });
  app.get<{ Params: { id: string } }>("/build/:id/log", async (request, reply) => {
    const drvPath = derivationIn(request);
    if (drvPath === undefined) throw new KilnError("log.unknown", "no such result");
    const log = server.builds.records.logFile(request.params.id, drvPath);
    const isHead = request.method === "HEAD";
    return sendBytes(reply, rawLog(log, request.headers.range, gone(reply), isHead));
  });
}

/** The page's shell, for an address that shows something only if that is there. */
export function sendShell(reply: FastifyReply, status: number, noScript: string): FastifyReply {
  const preload = status === 200 ? preloadHeader(reply.request.url) : undefined;
  if (preload !== undefined) reply.header("link", preload);
  return reply
    .code(status)
    .type("text/html; charset=utf-8")
    .header("cache-control", "no-cache")
    .send(shell(noScript));
}

export function searchForm(text: string): string {
  return `<p>${escapeHtml(text)}<form action="/build/"><label>Build <input name="id"></label> <button>Show</button></form>`;
}

/** The end of an id is enough where it names one build, as on the command line. */
function completeID(id: string, server: WebContext["server"]): string {
  const { records } = server.builds;
  if (records.find(id) !== undefined) return id;
  const found = records.search({ text: id, limit: 2 }).filter(({ row }) => row.id.endsWith(id));
  return found.length === 1 ? (found[0]?.row.id ?? id) : id;
}

function list({ builds }: WebContext["server"]): string {
  const items = builds.records.search({ limit: 25 }).map(({ row }) => {
    const names = escapeHtml(row.targets.map(({ name }) => name).join(", "));
    return `<li><a href="/build/${row.id}/">${names}</a> ${escapeHtml(row.state)}`;
  });
  return `${searchForm("This page needs scripts.")}<ul>${items.join("")}</ul>`;
}

function derivationIn(request: FastifyRequest): StorePath | undefined {
  try {
    const path = parseStorePath(String(recordOf(request.query)["drvPath"]));
    return isDerivationPath(path) ? path : undefined;
  } catch {
    return undefined;
  }
}
