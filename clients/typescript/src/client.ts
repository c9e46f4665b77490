import createFetchClient, { type Client as FetchClient, type Middleware } from "openapi-fetch";
import { ApiError } from "./errors.js";
import type { paths } from "./schema.js";

/** Where the API is, and who asks. */
export interface ClientOptions {
  /** The API's origin, e.g. `https://api.example.com`; the page's own where it is left out. */
  baseUrl?: string;
  /** An API token, a JWT or a connect session's token; or what gives one for each request. */
  token?: string | null | (() => string | null | undefined | Promise<string | null | undefined>);
  /** In place of the platform's `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
}

/** Every route of the API, typed by its OpenAPI document: `client.GET("/api/executions", …)`. */
export type Client = FetchClient<paths>;

/**
 * Makes a client.
 *
 * Each call answers `{data}` as openapi-fetch does; a refusal is thrown as an `ApiError`.
 */
export function createClient(options: ClientOptions = {}): Client {
  const client = createFetchClient<paths>({
    baseUrl: baseUrlOf(options),
    ...(options.fetch ? { fetch: options.fetch } : {}),
  });
  const middleware: Middleware = {
    async onRequest({ request }) {
      const token = await tokenOf(options);
      if (token) request.headers.set("Authorization", `Bearer ${token}`);
      return request;
    },
    async onResponse({ request, response, options }) {
      if (!response.ok && response.status !== 304) throw await ApiError.from(response);
      // The network may fail in the middle of an answer, too, when nobody asks here any more.
      if (options.parseAs !== "stream")
        await response
          .clone()
          .arrayBuffer()
          .catch((error: unknown) => {
            throw failure(request, error);
          });
      return response;
    },
    onError: ({ error, request }) => failure(request, error),
  };
  client.use(middleware);
  return client;
}

function failure(request: Request, error: unknown): Error {
  // Whoever ended it themselves waits for the error that they know, not for one of the network.
  if (request.signal.aborted && error instanceof Error) return error;
  return error instanceof ApiError ? error : ApiError.network(error);
}

/** The API's origin without a slash at the end. */
export function baseUrlOf(options: ClientOptions): string {
  const here = typeof location === "undefined" ? "http://localhost:3000" : location.origin;
  return (options.baseUrl ?? here).replace(/\/+$/, "");
}

async function tokenOf({ token }: ClientOptions): Promise<string | null | undefined> {
  return typeof token === "function" ? await token() : token;
}
