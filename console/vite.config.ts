import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// `npm run dev -w console` serves the page from its sources; the API is `make run`'s.
const platform = process.env.PLATFORM ?? "http://localhost:3000";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: "/console/",
  build: {
    target: "es2022",
    // The policy of the page allows files alone: nothing is inlined as a data URL.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The console, and what docs.mjs makes each page of the documentation from.
    rollupOptions: { input: ["index.html", "docs.html"].map((name) => here(name)) },
  },
  resolve: {
    alias: {
      "@integrations-backend/client": here("../clients/typescript/src/index.ts"),
    },
  },
  server: { proxy: { "/api": platform, "/console/settings.json": platform } },
});
