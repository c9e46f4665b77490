// The server's half: it holds the API token. API=http://localhost:3000 TOKEN=ib_… node server.mjs
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createClient } from "@integrations-backend/client";

const { API = "http://localhost:3000", TOKEN, PORT = "5173" } = process.env;
const api = createClient({ baseUrl: API, token: TOKEN });
const connection = "customer-1"; // of whoever is logged in to your application

const pages = {
  "/": ["text/html", new URL("index.html", import.meta.url)],
  "/app.js": ["text/javascript", new URL("app.js", import.meta.url)],
};
const modules = {
  client: new URL(".", import.meta.resolve("@integrations-backend/client")),
  "openapi-fetch": new URL(".", import.meta.resolve("openapi-fetch")),
};

async function call(path, { provider, sheet }) {
  if (path === "/session") {
    const body = { providers: [provider], connection };
    const { data } = await api.POST("/api/connect/sessions", { body });
    return { token: data.token, baseUrl: API };
  }
  const { data } = await api.POST("/api/integrations/{providerId}/actions/{action}", {
    params: { path: { providerId: "sheets", action: "getRows" } },
    body: { params: { sheet }, connection },
  });
  return { row: data.result.rows[0] ?? null };
}

createServer(async (request, response) => {
  const path = new URL(request.url, "http://localhost").pathname;
  const [, folder, file] = path.split("/");
  let answer = [404, "text/plain", "Not found"];
  try {
    if (request.method === "POST") {
      let text = "";
      for await (const chunk of request) text += chunk;
      answer = [200, "application/json", JSON.stringify(await call(path, JSON.parse(text)))];
    } else if (pages[path]) answer = [200, pages[path][0], await readFile(pages[path][1])];
    else if (modules[folder] && /^[\w-]+\.m?js$/.test(file))
      answer = [200, "text/javascript", await readFile(new URL(file, modules[folder]))];
  } catch (error) {
    answer = [502, "application/json", JSON.stringify({ error: error.message })];
  }
  response.writeHead(answer[0], { "Content-Type": answer[1] }).end(answer[2]);
}).listen(Number(PORT), "127.0.0.1", function () {
  process.stdout.write(`http://localhost:${this.address().port}\n`);
});
