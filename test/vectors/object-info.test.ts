import { parseContentAddress, printContentAddress } from "../../src/format/content-address.ts";
import { parseHash } from "../../src/format/hash.ts";
import { parseObjectInfoText, printObjectInfo } from "../../src/format/object-info.ts";
import { parseStorePath } from "../../src/format/store-path.ts";
import { vectorTests } from "./load.ts";

interface InfoVector {
  storePath: string;
  narHash: string | null;
  /** A text beyond 2^53. */
  narSize: number | string;
  references: string[];
  ca: string | null;
}

vectorTests("object-info", {
  marshalObjectInfo: (info: InfoVector) => ({
    text: printObjectInfo({
      storePath: parseStorePath(info.storePath),
      narHash: info.narHash === null || info.narHash === "" ? undefined : parseHash(info.narHash),
      narSize: typeof info.narSize === "string" ? BigInt(info.narSize) : info.narSize,
      references: info.references.map(parseStorePath),
      ca: info.ca === null || info.ca === "" ? undefined : parseContentAddress(info.ca),
    }),
  }),
  unmarshalObjectInfo: ({ text }: { text: string }) => {
    const info = parseObjectInfoText(text);
    return {
      storePath: info.storePath,
      narHash: info.narHash?.sri() ?? null,
      narSize: typeof info.narSize === "bigint" ? info.narSize.toString() : info.narSize,
      references: info.references,
      ca: info.ca === undefined ? null : printContentAddress(info.ca),
      text: printObjectInfo(info),
    };
  },
});
