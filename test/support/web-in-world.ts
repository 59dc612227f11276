// Runs inside a test world: serves the files of the current folder at the port that is given, and says so on standard output.
//   gzip/NAME is NAME sent in gzip coding, moved/NAME leads to NAME
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

const web = createServer((request, response) => {
  const [, kind, name = ""] = /^\/(gzip\/|moved\/)?(.*)$/.exec(request.url ?? "") ?? [];
  if (kind === "moved/") {
    response.writeHead(302, { Location: `/${name}` }).end();
    return;
  }
  try {
    const bytes = readFileSync(name);
    if (kind === "gzip/") response.setHeader("Content-Encoding", "gzip");
    response.end(kind === "gzip/" ? gzipSync(bytes) : bytes);
  } catch {
    response.writeHead(404).end("not found\n");
  }
});
web.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));
