/**
 * The six calls behind a front end's connections page.
 *
 * `configure` says once where the API is and who asks; each call then takes and answers plain
 * objects, and throws an `ApiError` where the API refuses.
 */
import { type Client, type ClientOptions, createClient } from "./client.js";
import type {
  ConnectionAnswer,
  DeletedAnswer,
  EmailCredentials,
  FacebookCredentials,
  HandshakeAnswer,
  ProviderId,
  SheetsCredentials,
  StartedAnswer,
  StatusAnswer,
  TelegramCredentials,
  TestAnswer,
  WebhookCredentials,
} from "./schema.js";

/** The credentials that are typed into a form, by provider; the others are logged in to. */
export interface CredentialsByProvider {
  telegram: TelegramCredentials;
  sheets: SheetsCredentials;
  facebook: FacebookCredentials;
  email: EmailCredentials;
  webhook: WebhookCredentials;
}

/** Those that are connected by credentials. */
export type CredentialsProvider = keyof CredentialsByProvider;

/** Those that are connected by a log-in. */
export type OAuthProvider = Exclude<ProviderId, CredentialsProvider>;

let client: Client = createClient();

/** Says where the API is and who asks; for the calls below. */
export function configure(options: ClientOptions): void {
  client = createClient(options);
}

/**
 * Begins a log-in at the provider: open `authUrl` in a window, then ask
 * `checkOAuthStatus(handshakeId)` until it is no longer `pending`.
 */
export async function startOAuthFlow(
  providerId: OAuthProvider,
  options: { redirectUri?: string; connection?: string } = {},
): Promise<StartedAnswer> {
  const { data } = await client.POST("/api/integrations/oauth/start/{providerId}", {
    params: { path: { providerId } },
    body: options,
  });
  return given(data);
}

/** How far a log-in is: `pending`, `completed`, `failed` or `expired`. */
export async function checkOAuthStatus(handshakeId: string): Promise<HandshakeAnswer> {
  const { data } = await client.GET("/api/integrations/oauth/status/{handshakeId}", {
    params: { path: { handshakeId } },
  });
  return given(data);
}

/**
 * Tests credentials without saving them; or the saved ones, where none are given.
 *
 * That the provider refuses is no error: `success` is false and `message` its reason.
 */
export async function testProviderConnection<P extends ProviderId>(
  providerId: P,
  credentials?: P extends CredentialsProvider ? CredentialsByProvider[P] : undefined,
  connection?: string,
): Promise<TestAnswer> {
  const { data } = await client.POST("/api/integrations/{providerId}/test", {
    params: { path: { providerId } },
    body: { ...(credentials && { credentials }), ...(connection && { connection }) },
  });
  return given(data);
}

/** Tests credentials and saves them where they are good. */
export async function saveProviderCredentials<P extends CredentialsProvider>(
  providerId: P,
  credentials: CredentialsByProvider[P],
  connection?: string,
): Promise<ConnectionAnswer> {
  const { data } = await client.POST("/api/integrations/{providerId}/credentials", {
    params: { path: { providerId } },
    body: { credentials, ...(connection && { connection }) },
  });
  return given(data);
}

/** Deletes a connection; refused with `connection_in_use` while a workflow uses it. */
export async function deleteProviderCredentials(
  providerId: ProviderId,
  connection?: string,
): Promise<DeletedAnswer> {
  const { data } = await client.DELETE("/api/integrations/{providerId}/credentials", {
    params: { path: { providerId }, query: connection ? { connection } : {} },
  });
  return given(data);
}

/**
 * The state of every provider's connections, by the provider's id: of each the first fifty. Where one
 * has more, its `nextToken` says so.
 */
export async function getAllConnectionStatuses(): Promise<{ [providerId: string]: StatusAnswer }> {
  const { data } = await client.GET("/api/integrations/status");
  return given(data);
}

/** A refusal was thrown, so there is an answer. */
function given<T>(data: T | undefined): T {
  if (data === undefined) throw new TypeError("The API answered without a body");
  return data;
}
