// One call by the official TypeScript client, which comes back by itself: its progress and its end, a line of JSON each.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { apiUrl as url } from "./server.js";

// By itself it comes back twice: a loaded machine may need longer for a new API.
const reconnectionOptions = {
  initialReconnectionDelay: 1000,
  maxReconnectionDelay: 5000,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 30,
};
const [name, args] = process.argv.slice(2);
const client = new Client({ name: "test", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", url), { reconnectionOptions }));
const tell = (line) => console.log(JSON.stringify(line));
const result = await client.callTool({ name, arguments: JSON.parse(args) }, undefined, {
  timeout: 150_000,
  onprogress: ({ progress, message }) => tell({ progress, message }),
});
tell({ result });
await client.close();
