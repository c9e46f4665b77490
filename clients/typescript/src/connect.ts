import { baseUrlOf, createClient } from "./client.js";
import { ApiError } from "./errors.js";

/** How a connect session ended. */
export interface ConnectResult {
  status: "connected" | "failed" | "cancelled";
  provider: string;
  connection: string;
  /** A sentence for a person, where it failed. */
  message?: string;
}

/** Whom to connect, and with what. */
export interface ConnectOptions {
  /** The `ics_…` token that your server got from `POST /api/connect/sessions`. */
  token: string;
  /** One of the session's providers. */
  provider: string;
  /** The API's origin; the page's own where it is left out. */
  baseUrl?: string;
  /**
   * Is called with the page's address where the browser blocks the window: show it as a link. The
   * promise then waits for the connection all the same.
   */
  onBlocked?: (url: string) => void;
  /** Ends the wait; the promise then answers `cancelled`. */
  signal?: AbortSignal;
  /** Milliseconds between two looks at the connection where no message can come; 2000. */
  pollEvery?: number;
}

const MESSAGE = "integrations.connect";
/** What the page says as soon as it is there. */
const OPENED = "integrations.connect.opened";

/**
 * Opens the connect page in a window and waits for how it ends. Call it from a click, or the
 * browser blocks the window.
 *
 * The page's message is taken from the API's own origin alone. Where no window could be opened, or
 * it lost its opener, the connection itself is looked at, until the session ends: to a page with
 * `Cross-Origin-Opener-Policy: same-origin` its window looks closed from the first moment.
 *
 * @throws ApiError where the session is over or may not do this.
 */
export async function connect(options: ConnectOptions): Promise<ConnectResult> {
  const baseUrl = baseUrlOf(options);
  const fragment = new URLSearchParams({
    token: options.token,
    provider: options.provider,
    origin: location.origin,
  });
  const url = `${baseUrl}/connect#${fragment}`;
  const api = new URL(baseUrl).origin;
  // Listened to at once: the window may be quicker than what is asked first.
  const said: Said = { isReached: false, tell: () => {} };
  const listen = ({ origin, data }: MessageEvent) => {
    if (origin !== api) return;
    if (data?.type === OPENED) said.isReached = true;
    if (data?.type !== MESSAGE || data.provider !== options.provider) return;
    said.ending = data;
    said.tell();
  };
  addEventListener("message", listen);
  const popup = open(url, "integrations-connect", "popup,width=480,height=720");
  if (!popup) options.onBlocked?.(url);
  try {
    return await waitFor(options, baseUrl, popup, said);
  } finally {
    removeEventListener("message", listen);
  }
}

/** What the window has said so far. */
interface Said {
  isReached: boolean;
  ending?: { status: ConnectResult["status"]; message?: string };
  /** Is called when it has said how it ended. */
  tell: () => void;
}

async function waitFor(
  options: ConnectOptions,
  baseUrl: string,
  popup: Window | null,
  said: Said,
): Promise<ConnectResult> {
  const client = createClient({ baseUrl, token: options.token });
  const session = await request(client, "/api/connect/session");
  const connection = String(session.connection ?? "default");
  const path = `/api/integrations/${encodeURIComponent(options.provider)}/credentials?connection=${encodeURIComponent(connection)}`;
  const stamp = async (): Promise<string> => {
    const found: Record<string, unknown> = await request(client, path).catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 404) return {};
      throw error;
    });
    return found.status === "connected" ? String(found.updatedAt) : "";
  };
  const before = await stamp();
  const end = (status: ConnectResult["status"], message?: string): ConnectResult => ({
    status,
    provider: options.provider,
    connection,
    ...(message ? { message } : {}),
  });

  return await new Promise<ConnectResult>((resolve, reject) => {
    let looks = 0;
    const stop = () => {
      clearInterval(timer);
      options.signal?.removeEventListener("abort", abort);
    };
    const finish = (result: ConnectResult) => {
      stop();
      resolve(result);
    };
    const abort = () => finish(end("cancelled"));
    const look = async () => {
      if (popup && !popup.closed) return;
      try {
        const now = await stamp();
        if (now && now !== before) finish(end("connected"));
        // A closed window has two looks' time for its last word. One that has never spoken may be
        // open, and only seem closed.
        else if (popup && said.isReached && ++looks >= 2) finish(end("cancelled"));
      } catch (error) {
        // API Gateway says 403 to a token that it no longer knows.
        const over =
          error instanceof ApiError && (error.isUnauthorized || error.code === "forbidden");
        const late = Date.now() > Date.parse(String(session.expiresAt));
        if (popup && (over || late)) {
          finish(end("cancelled"));
          return;
        }
        if (error instanceof ApiError && !over) return;
        stop();
        reject(error);
      }
    };
    const timer = setInterval(look, options.pollEvery ?? 2000);
    said.tell = () => {
      if (said.ending) finish(end(said.ending.status, said.ending.message));
    };
    said.tell();
    options.signal?.addEventListener("abort", abort);
    if (options.signal?.aborted) abort();
  });
}

async function request(
  client: ReturnType<typeof createClient>,
  path: string,
): Promise<Record<string, unknown>> {
  // Routes by their text: the page's script needs no table of all of them.
  const { data } = await client.GET(path as never, {} as never);
  return (data ?? {}) as Record<string, unknown>;
}
