// The HTTP API against its own OpenAPI document, which a validator has read: every operation is asked, every answer is checked.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { Derivation } from "../src/format/derivation/derivation.ts";
import { derivationPath } from "../src/format/derivation/print.ts";
import type {
  BuildDetailMessage,
  BuildMessage,
  BuildsMessage,
  ClosureMessage,
  CollectedMessage,
  DeletedMessage,
  DerivationMessage,
  DiskMessage,
  ErrorMessage,
  FilesMessage,
  HealthMessage,
  LogInfoMessage,
  LogLinesMessage,
  LogSearchMessage,
  ObjectMessage,
  ObjectsMessage,
  RelatedObjectsMessage,
  ResultDetailMessage,
  RootsMessage,
  RunningMessage,
} from "../src/web/api/messages.ts";
import { ApiClient, type StreamedEvent } from "./support/api-client.ts";
import { WebStage } from "./support/web-stage.ts";

const token = "0123456789abcdef0123456789abcdef";

describe("the HTTP API", () => {
  let stage: WebStage;
  let api: ApiClient;
  let lib: Derivation;
  let app: Derivation;
  let bad: Derivation;
  let id: string;
  let failedID: string;
  before(async () => {
    stage = await WebStage.open({ token });
    api = await ApiClient.open(stage.web.url);
    lib = stage.derivation("lib", "mkdir $out; echo a > $out/a; ln -s a $out/b; chmod +x $out/a");
    app = stage.derivation("app", "echo one; echo two; echo $in > $out", {
      inputs: [derivationPath(lib)],
      env: { in: stage.server.store.directory },
    });
    bad = stage.derivation("bad", "echo fine; echo 'x.c:1: error: no'; exit 4");
    id = await stage.built([lib, app]);
    failedID = await stage.built([bad]);
  });
  after(async () => await stage[Symbol.asyncDispose]());

  test("has a document that is valid OpenAPI 3.1", async () => {
    const { valid, errors } = await new Validator().validate(structuredClone({ ...api.document }));
    assert.ok(valid, JSON.stringify(errors));
    assert.match(api.document.openapi, /^3\.1\./);
    const ids = Object.values(api.document.paths).flatMap((path) =>
      Object.values(path).map(({ operationId }) => operationId),
    );
    assert.equal(new Set(ids).size, ids.length, "names of operations are unique");
  });

  test("tells of builds, their results and why they failed", async () => {
    const { builds, total } = await api.json<BuildsMessage>("get", "/builds");
    assert.deepEqual(
      builds.map((build) => [build.id, build.state]),
      [
        [failedID, "failed"],
        [id, "built"],
      ],
    );
    assert.equal(total, 2);
    const failed = await api.json<BuildsMessage>("get", "/builds", { query: { state: "failed" } });
    assert.equal(failed.builds.length, 1);
    const found = await api.json<BuildsMessage>("get", "/builds", { query: { q: "app" } });
    assert.deepEqual(
      found.builds.map((build) => build.id),
      [id],
    );
    const detail = await api.json<BuildDetailMessage>("get", "/builds/{id}", { query: { id } });
    assert.deepEqual(
      detail.results.map(({ name, state }) => [name, state]),
      [
        ["lib", "built"],
        ["app", "built"],
      ],
    );
    assert.deepEqual(detail.results[1]?.inputs, [derivationPath(lib)]);
    await api.json("get", "/builds/{id}/results", { query: { id } });
    const result = await api.json<ResultDetailMessage>("get", "/builds/{id}/result", {
      query: { id: failedID, drvPath: derivationPath(bad) },
    });
    assert.equal(result.result.exitCode, 4);
    assert.deepEqual(result.log.cause, {
      isError: true,
      lines: [{ number: 2, text: "x.c:1: error: no" }],
    });
    const now = await api.json<RunningMessage>("get", "/builds/running");
    assert.deepEqual([now.builds, now.jobsUsed, now.waiting], [[], 0, 0]);
  });

  test("gives logs as lines, as bytes with ranges, and what is found in them", async () => {
    const query = { id, drvPath: derivationPath(app) };
    const info = await api.json<LogInfoMessage>("get", "/builds/{id}/log/info", { query });
    assert.deepEqual([info.lines, info.size, info.finished], [2, 8, true]);
    const read = await api.json<LogLinesMessage>("get", "/builds/{id}/log/lines", {
      query: { ...query, from: 2 },
    });
    assert.deepEqual(
      read.lines.map(({ number, text, offset }) => [number, text, offset]),
      [[2, "two", 4]],
    );
    const found = await api.json<LogSearchMessage>("get", "/builds/{id}/log/search", {
      query: { ...query, q: "TWO" },
    });
    assert.deepEqual([found.total, found.lines], [1, [2]]);
    const { bytes } = await api.bytes("/builds/{id}/log", { query });
    assert.equal(bytes.toString(), "one\ntwo\n");
    const part = await api.bytes("/builds/{id}/log", {
      query,
      headers: { range: "bytes=-4" },
      status: 206,
    });
    assert.equal(part.bytes.toString(), "two\n");
    assert.equal(part.response.headers.get("content-range"), "bytes 4-7/8");
    const beyond = await api.bytes("/builds/{id}/log", {
      query,
      headers: { range: "bytes=8-" },
      status: 416,
    });
    assert.equal(beyond.response.headers.get("content-range"), "bytes */8");
  });

  test("streams what goes on, a build's events from any number on, and a log from any byte on", async () => {
    const pipe = await stage.pipe();
    const slow = stage.derivation("slow", `head -n 2 < ${pipe.path}; echo > $out`);
    const news = api.events("/builds/events");
    const first = await next(news);
    assert.deepEqual([first.event, (first.data as RunningMessage).builds.length], ["running", 0]);
    const slowID = await stage.build([slow]);
    const drvPath = derivationPath(slow);
    let running = await next(news);
    while ((running.data as RunningMessage).builds[0]?.running.length !== 1) {
      running = await next(news);
    }
    const grown = api.events("/builds/{id}/log/events", {
      query: { id: slowID, drvPath, from: 0 },
    });
    assert.equal((await next(grown)).event, "grown");
    await pipe.write("1\n2\n");
    assert.equal(((await next(grown)).data as { text: string }).text.slice(0, 2), "1\n");
    for await (const { event } of news) if (event === "finished") break;
    await grown.return();
    const rest: StreamedEvent[] = [];
    for await (const message of api.events("/builds/{id}/events", { query: { id: slowID } })) {
      rest.push(message);
    }
    assert.equal(rest.at(-1)?.event, "end");
    const types = rest.map(({ data }) => (data as { type: string } | null)?.type);
    assert.deepEqual([types[0], types.at(-2)], ["build.started", "build.finished"]);
    const after = rest.at(-3)?.id ?? "";
    const late = api.events("/builds/{id}/events", {
      query: { id: slowID },
      headers: { "last-event-id": after },
    });
    assert.equal(((await next(late)).data as { type: string }).type, "build.finished");
    await late.return();
  });

  test("shows objects: found, described, related, with their files, as NAR and as tar", async () => {
    const out = stage.outputOf(id, lib);
    const { total, objects } = await api.json<ObjectsMessage>("get", "/objects", {
      query: { q: "-LIB", sort: "size" },
    });
    assert.equal(total, 2);
    assert.ok(objects.some(({ path }) => path === out));
    const query = { path: out };
    const info = await api.json<ObjectMessage>("get", "/objects/info", { query });
    assert.deepEqual([info.name, info.closureCount, info.isDerivation], ["lib", 1, false]);
    assert.equal(info.madeBy[0]?.drvPath, derivationPath(lib));
    const drv = { path: derivationPath(lib) };
    const referrers = await api.json<RelatedObjectsMessage>("get", "/objects/referrers", {
      query: drv,
    });
    assert.deepEqual(
      referrers.objects.map(({ path }) => path),
      [derivationPath(app)],
    );
    const references = await api.json<RelatedObjectsMessage>("get", "/objects/references", {
      query: { path: derivationPath(app) },
    });
    assert.equal(references.total, 1);
    const closure = await api.json<ClosureMessage>("get", "/objects/closure", {
      query: { ...drv, referrers: true },
    });
    assert.equal(closure.total, 2);
    const files = await api.json<FilesMessage>("get", "/objects/files", { query });
    assert.deepEqual(
      files.entries?.map(({ name, type, executable, target }) => [name, type, executable, target]),
      [
        ["a", "regular", true, null],
        ["b", "symlink", false, "a"],
      ],
    );
    const file = await api.bytes("/objects/file", { query: { path: `${out}/a` } });
    assert.equal(file.bytes.toString(), "a\n");
    for (const path of [`${out}/b`, `${out}/../db.sqlite`, `${out}/nothing`, "/etc/passwd"]) {
      const { response } = await api.bytes("/objects/file", {
        query: { path },
        status: path.startsWith(out) && !path.includes("..") ? 404 : 400,
      });
      assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
    }
    const nar = await api.bytes("/objects/nar", { query });
    const hash = createHash("sha256").update(nar.bytes).digest("base64");
    assert.equal(`sha256-${hash}`, info.narHash);
    assert.equal(nar.bytes.length, info.narSize);
    const tar = await api.bytes("/objects/tar", { query });
    const archive = join(stage.folder, "lib.tar");
    writeFileSync(archive, tar.bytes);
    const listed = execFileSync("tar", ["tvf", archive], { encoding: "utf8" });
    assert.match(listed, /^drwxr-xr-x 0\/0 .* lib\/$/m);
    assert.match(listed, /^-rwxr-xr-x 0\/0 +2 .* lib\/a$/m);
    assert.match(listed, /^lrwxrwxrwx 0\/0 .* lib\/b -> a$/m);
    const derivation = await api.json<DerivationMessage>("get", "/derivation", {
      query: { path: derivationPath(app) },
    });
    assert.deepEqual(derivation.inputDerivations, [
      { path: derivationPath(lib), outputs: ["out"] },
    ]);
    const [realisation, ...more] = derivation.realisations;
    assert.deepEqual([realisation?.buildID, more], [id, []]);
    assert.deepEqual(realisation?.outputs, [
      { name: "out", path: stage.outputOf(id, app), present: true },
    ]);
  });

  test("tells of health, disk, roots and what a collection would remove, and changes nothing by it", async () => {
    await stage.client.call("kiln.addRoot", {
      name: "release",
      path: stage.outputOf(id, lib),
    });
    const health = await api.json<HealthMessage>("get", "/health");
    assert.deepEqual([health.jobs, health.administrable, health.mode], [4, true, "embedded"]);
    assert.ok(health.findings.length > 3);
    const { roots } = await api.json<RootsMessage>("get", "/roots");
    assert.deepEqual(
      roots.map(({ name, closureCount }) => [name, closureCount]),
      [["release", 1]],
    );
    const disk = await api.json<DiskMessage>("get", "/disk");
    assert.ok(disk.objects >= 6 && disk.heldByRoots === roots[0]?.closureSize);
    const preview = await api.json<CollectedMessage>("get", "/collection", {
      query: { olderThan: 0 },
    });
    assert.ok(preview.count > 0 && preview.recent === 0);
    assert.equal(preview.count + preview.leftCount, disk.objects);
    assert.equal((await api.json<DiskMessage>("get", "/disk")).objects, disk.objects);
  });

  test("says what is wrong with a request, with the right status", async () => {
    const wrong = async (path: string, query: Record<string, string>, status: number) =>
      (await api.json<ErrorMessage>("get", path, { query, status })).code;
    const unknown = { id: "01a20791-ffff-72da-8231-000000000000" };
    const absent = `${stage.server.store.directory}/00000000000000000000000000000000-absent`;
    assert.equal(await wrong("/builds/{id}", unknown, 404), "build.unknown");
    assert.equal(await wrong("/builds/{id}", { id: "../x" }, 400), "http.request");
    const log = { id, drvPath: derivationPath(bad) };
    assert.equal(await wrong("/builds/{id}/log/lines", log, 404), "log.unknown");
    assert.equal(await wrong("/builds/{id}/result", log, 404), "build.noResult");
    assert.equal(await wrong("/builds", { limit: "many" }, 400), "http.request");
    assert.equal(await wrong("/builds", { state: "odd" }, 400), "http.request");
    assert.equal(await wrong("/objects/info", { path: absent }, 404), "store.missing");
    assert.equal(await wrong("/derivation", { path: `${absent}.drv` }, 404), "store.missing");
    assert.equal(await wrong("/derivation", { path: absent }, 400), "http.request");
    const pattern = { id, drvPath: derivationPath(app), q: "(", pattern: "true" };
    assert.equal(await wrong("/builds/{id}/log/search", pattern, 400), "log.pattern");
  });

  test("changes something only for who has the token, and not for other pages", async () => {
    const paths = [derivationPath(bad)];
    const refused = async (headers: Record<string, string>, status: number, code: string) => {
      const asking = { body: { paths }, headers, status };
      const { code: said } = await api.json<ErrorMessage>("post", "/objects/delete", asking);
      assert.equal(said, code);
      assert.ok(stage.server.store.has(derivationPath(bad)));
    };
    const authorization = `Bearer ${token}`;
    const origin = new URL(stage.web.url).origin;
    await refused({}, 401, "http.token");
    await refused({ authorization: "Bearer guessed" }, 401, "http.token");
    await refused({ authorization, origin: "https://evil.example" }, 403, "http.origin");
    await refused({ authorization, origin, "sec-fetch-site": "cross-site" }, 403, "http.origin");
    const asking = { headers: { authorization, origin } };
    await api.json("post", "/session", { body: {}, ...asking });
    const { deleted } = await api.json<DeletedMessage>("post", "/objects/delete", {
      body: { paths },
      ...asking,
    });
    assert.deepEqual(deleted, paths);
    const pipe = await stage.pipe();
    const running = await stage.build([stage.derivation("endless", `read -r l < ${pipe.path}`)]);
    const cancelled = await api.json<BuildMessage>("post", "/builds/{id}/cancel", {
      query: { id: running },
      body: {},
      ...asking,
    });
    assert.equal(cancelled.state, "cancelled");
    assert.match(cancelled.note?.text ?? "", /by an administrator/);
    const collected = await api.json<CollectedMessage>("post", "/collection", {
      body: { olderThan: 0 },
      ...asking,
    });
    assert.ok(collected.count > 0);
    assert.ok(stage.server.store.has(stage.outputOf(id, lib)), "a root holds it");
    const { lastCollection } = await api.json<DiskMessage>("get", "/disk");
    assert.deepEqual(
      [lastCollection?.count, lastCollection?.size],
      [collected.count, collected.size],
    );
    await api.json("post", "/roots/remove", { body: { name: "release" }, ...asking });
    assert.deepEqual((await api.json<RootsMessage>("get", "/roots")).roots, []);
    const gone = { body: { name: "release" }, status: 404, ...asking };
    assert.equal(
      (await api.json<ErrorMessage>("post", "/roots/remove", gone)).code,
      "root.missing",
    );
  });

  test("was asked all that its document promises", () => {
    const promised = Object.values(api.document.paths).flatMap((path) =>
      Object.values(path).map(({ operationId }) => operationId),
    );
    assert.deepEqual(promised.filter((name) => !api.asked.has(name)).toSorted(), []);
  });

  test("cannot be changed by anybody where there is no token", async () => {
    await using other = await WebStage.open();
    const client = await ApiClient.open(other.web.url);
    const asking = { body: {}, headers: { authorization: "Bearer " }, status: 403 };
    const { code } = await client.json<ErrorMessage>("post", "/collection", asking);
    assert.equal(code, "http.readOnly");
  });
});

async function next(
  stream: AsyncGenerator<StreamedEvent, void, undefined>,
): Promise<StreamedEvent> {
  const { value, done } = await stream.next();
  assert.ok(done !== true, "the stream ended");
  return value;
}
