import {
  isSourceAddress,
  parseContentAddress,
  printContentAddress,
} from "../../src/format/content-address.ts";
import { storePathOf } from "../../src/format/path-digest.ts";
import { parseStoreDirectory, parseStorePath } from "../../src/format/store-path.ts";
import { vectorTests } from "./load.ts";

interface PathInput {
  dir: string;
  name: string;
  ca: string;
  references: { self: boolean; others: string[] };
}

vectorTests("content-addresses", {
  parseContentAddress: ({ text }: { text: string }) => {
    const ca = parseContentAddress(text);
    return {
      text: printContentAddress(ca),
      method: ca.method,
      hashType: ca.hash.type,
      base16: ca.hash.rawBase16(),
      isSource: isSourceAddress(ca),
    };
  },
  fixedCAOutputPath: ({ dir, name, ca, references }: PathInput) => ({
    path: storePathOf(parseStoreDirectory(dir), name, parseContentAddress(ca), {
      self: references.self,
      others: references.others.map(parseStorePath),
    }),
  }),
});
