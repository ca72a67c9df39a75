import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The origin that the API lets call by default. Nothing is proxied: the page calls the API as any frontend does.
const port = { port: 3000, strictPort: true };

export default defineConfig({ plugins: [react()], server: port, preview: port });
