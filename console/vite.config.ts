import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// `npm run dev -w console` serves the page from its sources; the API is `make run`'s.
const platform = process.env.PLATFORM ?? "http://localhost:3000";

export default defineConfig({
  base: "/console/",
  build: {
    target: "es2022",
    // The policy of the page allows files alone: nothing is inlined as a data URL.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  resolve: {
    alias: {
      "@integrations-backend/client": fileURLToPath(
        new URL("../clients/typescript/src/index.ts", import.meta.url),
      ),
    },
  },
  server: { proxy: { "/api": platform, "/console/settings.json": platform } },
});
