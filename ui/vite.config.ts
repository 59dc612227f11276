// How the page is built: static files that need nothing but their own origin.
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin, type UserConfig } from "vite";

/** Names the fonts in the shell: else browsers ask for them when the first text is there, which is then drawn twice. */
const preloadFonts: Plugin = {
  name: "preload-fonts",
  transformIndexHtml: (_html, { bundle = {} }) =>
    Object.keys(bundle)
      .filter((name) => name.endsWith(".woff2"))
      .map((name) => ({
        tag: "link",
        attrs: {
          rel: "preload",
          as: "font",
          type: "font/woff2",
          href: `/${name}`,
          crossorigin: true,
        },
        injectTo: "head",
      })),
};

const config: UserConfig = defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "/",
  plugins: [preloadFonts],
  build: {
    outDir: fileURLToPath(new URL("../dist/ui", import.meta.url)),
    assetsDir: "static",
    emptyOutDir: true,
    target: "es2023",
    // The page's policy allows nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
  },
});
export default config;
