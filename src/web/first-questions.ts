/** What a page asks the API for before it can show anything. Browsers that are told so with the page need not run it first to ask. */

/** The API's addresses, in the spelling of the page; none where the page's own address says more than which page it is. */
export function firstQuestions(address: string): readonly string[] {
  const { pathname, searchParams } = new URL(address, "http://localhost");
  const [only, ...others] = searchParams.keys();
  if (others.length > 0) return [];
  const query = searchParams.toString();
  const [, id, page] = /^\/build\/([\w-]+)\/(result)?$/.exec(pathname) ?? [];
  if (id !== undefined && page === undefined) return questions(`/builds/${id}`);
  if (id !== undefined && only === "drvPath") return questions(`/builds/${id}/result?${query}`);
  if (pathname === "/store/object" && only === "path") return questions(`/objects/info?${query}`);
  if (pathname === "/store/derivation" && only === "path") return questions(`/derivation?${query}`);
  if (only !== undefined) return [];
  return questions(...(ofPlainPages[pathname] ?? []));
}

const ofPlainPages: Readonly<Record<string, readonly string[]>> = {
  "/": ["/builds?limit=50"],
  "/store/": ["/disk", "/roots", "/objects?sort=time&limit=15"],
  "/roots/": ["/disk", "/roots"],
  "/health/": ["/health", "/disk"],
};

function questions(...paths: string[]): string[] {
  return paths.map((path) => `/api/v1${path}`);
}

/** The same as a header of the page; undefined where there is nothing to be said. */
export function preloadHeader(address: string): string | undefined {
  const links = firstQuestions(address).map(
    (question) => `<${question}>; rel=preload; as=fetch; crossorigin`,
  );
  return links.length === 0 ? undefined : links.join(", ");
}
