import { readFileSync } from "node:fs";

/** Kiln's version, from its package. */
export const kilnVersion: string = (() => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const description: unknown = JSON.parse(text);
  const known = typeof description === "object" && description !== null && "version" in description;
  return known ? String(description.version) : "unknown";
})();
