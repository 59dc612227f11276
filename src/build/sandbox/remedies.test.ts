import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { temporaryDirectory } from "../../util/temp.ts";
import type { BuildOutcome, BuildTask } from "../executor.ts";
import type { ResolvedPath } from "./layout.ts";
import { withRemedy } from "./remedies.ts";

interface Ended {
  readonly code: number;
  readonly said: string;
  readonly path?: string;
  readonly shown?: readonly ResolvedPath[];
  readonly offered?: readonly string[];
  readonly network?: boolean;
}

function remedyFor({ code, said, path = "", shown = [], offered = [], network = false }: Ended) {
  const env = new Map([["PATH", path]]);
  const task = { derivation: { env }, env, systemDeps: [] } as unknown as BuildTask;
  const outcome: BuildOutcome = withRemedy({ type: "exited", code }, task, {
    shown,
    offered: offered.map((inside) => ({ inside, source: inside, alwaysPresent: false })),
    said,
    network,
  });
  return outcome.type === "exited" ? outcome.remedy : undefined;
}

describe("a builder without network", () => {
  for (const said of [
    "curl: (6) Could not resolve host: example.com\n",
    "wget: unable to resolve host address 'example.com'\n",
    "wget: bad address 'example.com'\n",
    "ping: example.com: Temporary failure in name resolution\n",
    "ssh: Could not resolve hostname x: Name or service not known\n",
    "npm error request to https://x failed, reason: getaddrinfo EAI_AGAIN x\nmore\n",
    "dial tcp: lookup example.com: no such host\n",
    "connect: Network is unreachable\n",
  ]) {
    test(`is told so when its log says ${JSON.stringify(said)}`, () => {
      assert.match(remedyFor({ code: 6, said }) ?? "", /^builders have no network; fetchUrl\(\)/);
      assert.match(remedyFor({ code: 6, said, network: true }) ?? "", /http_proxy/);
    });
  }

  test("is told nothing when it failed of something else, or not", () => {
    assert.equal(remedyFor({ code: 1, said: "connect: connection refused\n" }), undefined);
    assert.equal(remedyFor({ code: 0, said: "Could not resolve host\n" }), undefined);
  });
});

describe("a program that is a link out of what the sandbox shows", () => {
  for (const [code, said] of [
    [127, "/bin/sh: 1: cc: not found\n"],
    [127, "sh: line 1: cc: command not found\n"],
    [2, "make: cc: No such file or directory\nmake: *** [a.o] Error 127\n"],
  ] as const) {
    test(`is named with what it leads to after ${JSON.stringify(said)}`, async () => {
      await using folder = await temporaryDirectory(tmpdir(), "kiln-remedies-");
      const host = realpathSync(folder.path);
      for (const name of ["usr/bin", "alternatives"]) {
        mkdirSync(join(host, name), { recursive: true });
      }
      writeFileSync(join(host, "usr/bin/gcc"), "");
      symlinkSync(join(host, "alternatives/cc"), join(host, "usr/bin/cc"));
      symlinkSync(join(host, "usr/bin/gcc"), join(host, "alternatives/cc"));
      const directory = (name: string): ResolvedPath => {
        const inside = join(host, name);
        return { inside, type: "directory", source: inside };
      };
      const ended = { code, said, path: `/nowhere:${host}/usr/bin`, shown: [directory("usr")] };
      const lost = `${host}/usr/bin/cc leads to ${host}/alternatives/cc, which the sandbox lacks; add "${host}/alternatives" to systemDeps`;
      assert.equal(remedyFor({ ...ended, offered: [`${host}/alternatives`] }), lost);
      const offer = `kiln serve --sandbox-path=${host}/alternatives`;
      assert.equal(remedyFor(ended), `${lost}, and have it offered: ${offer}`);
      const whole = { ...ended, shown: [directory("usr"), directory("alternatives")] };
      assert.doesNotMatch(remedyFor(whole) ?? "", /leads to/);
    });
  }
});
