import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Where a development server finds the API. In production the API itself serves the built files.
const api = process.env.RELAYRUN_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "/console/",
  // A script finds its files beside itself, below whatever prefix; the server puts that into the page.
  experimental: {
    renderBuiltUrl: (_, { hostType }) => (hostType === "html" ? undefined : { relative: true }),
  },
  plugins: [react()],
  build: {
    outDir: "../api/relayrun_api/console/static",
    emptyOutDir: true,
    // Chunks and icons stay files: the Content-Security-Policy has no room for inlined ones.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    port: 5173,
    proxy: {
      "^/(?!console(/|$))": api,
      "^/console/config\\.json$": api,
    },
  },
});
