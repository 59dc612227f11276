#!/usr/bin/env node
import { parseArgs } from "node:util";
import { greet, isLanguage, languages } from "./greet.ts";

const { values, positionals } = parseArgs({
  options: {
    language: { type: "string", short: "l", default: "en" },
    hour: { type: "string", default: String(new Date().getHours()) },
  },
  allowPositionals: true,
});
const hour = Number(values.hour);
if (!isLanguage(values.language) || !(hour >= 0 && hour <= 24)) {
  console.error(`usage: greeter [--language ${languages.join("|")}] [--hour 0..24] [NAME]...`);
  process.exitCode = 1;
} else {
  console.log(greet(positionals, hour, values.language));
}
