/** A process that adopts the store of zb's in FOLDER and kills itself: `node crash.test.child.ts FOLDER STEP`. */
import { join } from "node:path";
import { defaultStoreDirectory } from "../../format/store-path.ts";
import { dieAtStep } from "../crash-steps.test.support.ts";

const [, , folder = "", last = ""] = process.argv;
dieAtStep(Number(last));
const { takeOver } = await import("./take-over.ts");
await takeOver({
  directory: defaultStoreDirectory,
  realDirectory: join(folder, "store"),
  zbDatabase: join(folder, "db.sqlite"),
});
