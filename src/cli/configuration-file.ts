/** One configuration file: what stands in it, and where it is wrong. */
import { dirname, resolve } from "node:path";
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";
import { z } from "zod";
import type { ResourceLimits } from "../server/options.ts";
import { KilnError } from "../util/kiln-error.ts";
import { type Configuration, configurationMembers } from "./configuration.ts";
import { parseLimit } from "./limits.ts";
import { nearest } from "./text.ts";

/**
 * What one file says. `path` names it and is what relative paths in it are relative to.
 *
 * @throws KilnError `config.syntax`, `config.value`
 */
export function parseConfiguration(text: string, path: string): Configuration {
  const value = parseJson(text, path);
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const member = issue?.path.map(String) ?? [];
    const what = issue?.message.replace(/^Invalid input: /, "") ?? "not accepted";
    throw new KilnError("config.value", `${member.join(".") || "the configuration"}: ${what}`, {
      path,
      at: placeOf(text, path, issue?.path ?? []),
    });
  }
  const { debug, storeDirectory, storeSocket, trustedPublicKeys, server } = parsed.data;
  const absolute = (name: string): string => resolve(dirname(path), name);
  return {
    ...(typeof debug === "boolean" ? { debug } : {}),
    ...(typeof storeDirectory === "string" ? { storeDirectory } : {}),
    ...(typeof storeSocket === "string" ? { storeSocket: absolute(storeSocket) } : {}),
    ...(server?.limits ? { limits: limitsIn(server.limits) } : {}),
    trustedPublicKeys: trustedPublicKeys ?? [],
    signingKeyFiles: (server?.signingKeyFiles ?? []).map(absolute),
    unused: unusedIn(parsed.data).map((member) => describeUnused(member, path)),
  };
}

const fileName = z.string().min(1, { error: "is empty" });

const publicKey = z.object({
  format: z.literal("ed25519"),
  publicKey: z.base64().length(44, { error: "expected the base 64 of 32 bytes" }),
});

/** A limit as its flag has it, or as a number. */
function limit(type: "duration" | "size" | "count"): z.ZodType<number | null | undefined> {
  return z
    .union([z.string(), z.number()], { error: "expected a limit, as its flag takes it" })
    .transform((value, context) => {
      try {
        return parseLimit(type)(String(value));
      } catch (error) {
        context.addIssue(KilnError.from(error).message);
        return z.NEVER;
      }
    })
    .nullish();
}

/** As the flags `--max-…` are called. */
const limits = z.strictObject({
  buildTime: limit("duration"),
  silentTime: limit("duration"),
  logSize: limit("size"),
  memory: limit("size"),
  outputSize: limit("size"),
  processes: limit("count"),
});

function limitsIn({ buildTime, ...others }: z.infer<typeof limits>): ResourceLimits {
  const entries = Object.entries({ ...others, wallTime: buildTime });
  return Object.fromEntries(entries.filter(([, value]) => typeof value === "number"));
}

/** Null is as good as nothing. */
const schema = z.looseObject({
  debug: z.boolean().nullish(),
  storeDirectory: fileName.nullish(),
  storeSocket: fileName.nullish(),
  trustedPublicKeys: z.array(publicKey).nullish(),
  server: z
    .looseObject({ signingKeyFiles: z.array(fileName).nullish(), limits: limits.nullish() })
    .nullish(),
});

/** Members that are zb's, or nobody's, and mean nothing here. */
function unusedIn(configuration: z.infer<typeof schema>): string[] {
  const outer = Object.keys(configuration).filter((name) => name !== "server");
  const inner = Object.keys(configuration.server ?? {}).map((name) => `server.${name}`);
  return [...outer, ...inner].filter((name) => !configurationMembers.includes(name));
}

/** With what was probably meant. */
function describeUnused(member: string, path: string): string {
  const meant =
    nearest(member, configurationMembers) ??
    configurationMembers.find((name) => beginsLike(name, member));
  return `${member} in ${path}${meant === undefined ? "" : ` (did you mean ${meant}?)`}`;
}

/** Whether somebody who wrote `stroe` may have meant `storeDirectory`. */
function beginsLike(name: string, written: string): boolean {
  return written.length > 3 && nearest(written, [name.slice(0, written.length)]) !== undefined;
}

function parseJson(text: string, path: string): unknown {
  const faults: ParseError[] = [];
  const tree = parseTree(text, faults, { allowTrailingComma: true });
  const [fault] = faults;
  if (fault !== undefined || tree === undefined) {
    const offset = fault?.offset ?? 0;
    const what = fault === undefined ? "it is empty" : wordsOf(printParseErrorCode(fault.error));
    throw syntaxFault(path, what, lineAndColumn(text, offset));
  }
  refuseDuplicates(tree, text, path);
  return getNodeValue(tree);
}

/** Two members of one name: nobody knows which one was meant. */
function refuseDuplicates(node: Node, text: string, path: string): void {
  const seen = new Set<unknown>();
  for (const child of node.children ?? []) {
    if (node.type === "object") {
      const name = child.children?.[0];
      if (name !== undefined && seen.has(name.value)) {
        const place = lineAndColumn(text, name.offset);
        throw syntaxFault(path, `there are two members ${JSON.stringify(name.value)}`, place);
      }
      seen.add(name?.value);
    }
    refuseDuplicates(child, text, path);
  }
}

function syntaxFault(path: string, what: string, place: string): KilnError {
  return new KilnError("config.syntax", `the configuration file cannot be read: ${what}`, {
    path,
    at: `${path}:${place}`,
  });
}

/** `CommaExpected` as `comma expected`. */
function wordsOf(code: string): string {
  return code.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
}

/** The place of a member, or of the nearest thing around it that is there. */
function placeOf(text: string, path: string, member: readonly PropertyKey[]): string {
  const tree = parseTree(text, [], { allowTrailingComma: true });
  if (tree === undefined) return `${path}:1:1`;
  for (let length = member.length; length > 0; length--) {
    const steps = member
      .slice(0, length)
      .map((step) => (typeof step === "number" ? step : String(step)));
    const node = findNodeAtLocation(tree, steps);
    if (node !== undefined) return `${path}:${lineAndColumn(text, node.offset)}`;
  }
  return `${path}:1:1`;
}

/** Both from 1. */
function lineAndColumn(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}
