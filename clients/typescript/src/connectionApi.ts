/**
 * The six calls behind a front end's connections page.
 *
 * `configure` says once where the API is and who asks; each call then takes and answers plain
 * objects, and throws an `ApiError` where the API refuses.
 */
import { type Client, type ClientOptions, createClient } from "./client.js";
import type { paths } from "./schema.js";

type Answer<P extends keyof paths, M extends "get" | "post" | "delete"> =
  paths[P] extends Record<M, { responses: { 200: { content: { "application/json": infer A } } } }>
    ? A
    : never;

/** The credentials of a provider, as its form in the catalogue has them. */
export type Credentials = Record<string, unknown>;

/** `{status, account, …}` of each provider, by its id. */
export type ConnectionStatuses = Answer<"/api/integrations/status", "get">;
/** What is known of a connection; never its secrets. */
export type ConnectionDetails = Answer<"/api/integrations/{providerId}/credentials", "post">;
/** `success`, `message` and the account that answered. */
export type TestResult = Answer<"/api/integrations/{providerId}/test", "post">;
/** `authUrl` to open in a window, and `handshakeId` to ask about. */
export type OAuthFlow = Answer<"/api/integrations/oauth/start/{providerId}", "post">;
/** `pending`, `completed`, `failed` or `expired`. */
export type OAuthStatus = Answer<"/api/integrations/oauth/status/{handshakeId}", "get">;

let client: Client = createClient();

/** Says where the API is and who asks; for the calls below. */
export function configure(options: ClientOptions): void {
  client = createClient(options);
}

/** Begins a log-in at the provider: open `authUrl`, then ask `checkOAuthStatus(handshakeId)`. */
export async function startOAuthFlow(
  providerId: string,
  options: { redirectUri?: string; connection?: string } = {},
): Promise<OAuthFlow> {
  const { data } = await client.POST("/api/integrations/oauth/start/{providerId}", {
    params: { path: { providerId } as never },
    body: options as never,
  });
  return data as OAuthFlow;
}

/** How far a log-in is. */
export async function checkOAuthStatus(handshakeId: string): Promise<OAuthStatus> {
  const { data } = await client.GET("/api/integrations/oauth/status/{handshakeId}", {
    params: { path: { handshakeId } },
  });
  return data as OAuthStatus;
}

/** Tests credentials without saving them; or the saved ones, where none are given. */
export async function testProviderConnection(
  providerId: string,
  credentials?: Credentials,
  connection?: string,
): Promise<TestResult> {
  const { data } = await client.POST("/api/integrations/{providerId}/test", {
    params: { path: { providerId } as never },
    body: { ...(credentials && { credentials }), ...(connection && { connection }) } as never,
  });
  return data as TestResult;
}

/** Tests credentials and saves them where they are good. */
export async function saveProviderCredentials(
  providerId: string,
  credentials: Credentials,
  connection?: string,
): Promise<ConnectionDetails> {
  const { data } = await client.POST("/api/integrations/{providerId}/credentials", {
    params: { path: { providerId } as never },
    body: { credentials, ...(connection && { connection }) } as never,
  });
  return data as ConnectionDetails;
}

/** Deletes a connection; refused with `connection_in_use` while a workflow uses it. */
export async function deleteProviderCredentials(
  providerId: string,
  connection?: string,
): Promise<{ deleted: boolean }> {
  const { data } = await client.DELETE("/api/integrations/{providerId}/credentials", {
    params: { path: { providerId } as never, query: connection ? { connection } : {} },
  });
  return data as { deleted: boolean };
}

/** The state of every provider's connections. */
export async function getAllConnectionStatuses(): Promise<ConnectionStatuses> {
  const { data } = await client.GET("/api/integrations/status");
  return data as ConnectionStatuses;
}
