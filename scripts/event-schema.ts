// Writes docs/events.schema.json: node scripts/event-schema.ts
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { eventJsonSchema } from "../src/build/event-schema.ts";

const file = fileURLToPath(new URL("../docs/events.schema.json", import.meta.url));
writeFileSync(file, `${JSON.stringify(eventJsonSchema(), null, 2)}\n`);
