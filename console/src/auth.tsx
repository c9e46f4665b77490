/** Who uses the console: nobody has to say so on a laptop; elsewhere a log-in, or a pasted token. */
import { useState } from "preact/hooks";
import { request, retryAccess, setToken } from "./api";
import { useAction, useLoad, useTitle } from "./hooks";
import { Field, Note, Problem } from "./ui";

interface Settings {
  issuer?: string;
  clientId?: string;
}
interface Discovery {
  authorization_endpoint: string;
  token_endpoint: string;
}
const PENDING = "integrations.login";

export function Access({ expired }: { expired: boolean }) {
  useTitle("Log in");
  const settings = useLoad(
    () => request<Settings>("GET", "/console/settings.json", undefined, { token: null }),
    "settings",
  );
  const [typed, setTyped] = useState("");
  const enter = useAction(async () => {
    const token = typed.trim();
    // Asked with the token itself, so that a wrong one is shown here.
    await request("GET", "/api/integrations/status", undefined, { token });
    retryAccess();
    setToken(token);
  });
  // API Gateway says 403 to what cannot be a token at all.
  const wrong = enter.error && (enter.error.isUnauthorized || enter.error.code === "forbidden");
  const login = useAction(async () => {
    if (settings.data?.issuer && settings.data.clientId)
      await beginLogin(settings.data.issuer, settings.data.clientId);
  });
  return (
    <div class="centre">
      <h1>Integrations</h1>
      {expired && (
        <Note tone="warn">
          <p>
            <strong>Log in again.</strong> The token was not accepted: it is wrong, or it has
            expired.
          </p>
        </Note>
      )}
      <Problem error={settings.error} retry={() => void settings.reload()} />
      {settings.data?.issuer && (
        <div class="card stack">
          <button
            type="button"
            class="primary"
            disabled={login.busy}
            onClick={() => void login.run()}
          >
            Log in
          </button>
          <p class="soft small">At {new URL(settings.data.issuer).host}.</p>
          <Problem error={login.error} />
        </div>
      )}
      <form
        class="card stack"
        onSubmit={(event) => {
          event.preventDefault();
          void enter.run();
        }}
      >
        <Field
          label="API token"
          hint="It stays in this tab, and is gone when the tab is closed."
          error={wrong ? "This token is wrong or has expired" : undefined}
        >
          {(attributes) => (
            <input
              {...attributes}
              class="mono"
              type="password"
              autocomplete="off"
              placeholder="ib_…"
              value={typed}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          )}
        </Field>
        {!wrong && <Problem error={enter.error} />}
        <div class="row">
          <button
            type="submit"
            class={settings.data?.issuer ? "" : "primary"}
            disabled={!typed.trim() || enter.busy}
          >
            Use this token
          </button>
        </div>
      </form>
    </div>
  );
}

async function discover(issuer: string): Promise<Discovery> {
  const answer = await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  if (!answer.ok) throw new Error(`The issuer answers ${answer.status}`);
  return (await answer.json()) as Discovery;
}

/** Sends the browser to the issuer (authorization code with PKCE, RFC 7636; no secret). */
async function beginLogin(issuer: string, clientId: string): Promise<void> {
  const found = await discover(issuer);
  const verifier = random(48);
  const state = random(24);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  sessionStorage.setItem(
    PENDING,
    JSON.stringify({
      verifier,
      state,
      issuer,
      clientId,
      back: location.pathname + location.search,
    }),
  );
  const url = new URL(found.authorization_endpoint);
  const query = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri(),
    scope: "openid",
    state,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Ends a log-in where the issuer sent the browser back; tells where to go on, or `null`. */
export async function endLogin(): Promise<string | null> {
  const query = new URLSearchParams(location.search);
  const stored = sessionStorage.getItem(PENDING);
  if (!stored || !query.get("state")) return null;
  sessionStorage.removeItem(PENDING);
  const pending = JSON.parse(stored) as Record<
    "verifier" | "state" | "issuer" | "clientId" | "back",
    string
  >;
  const code = query.get("code");
  // Neither code nor state stays in the address or its history.
  history.replaceState(null, "", location.pathname);
  if (query.get("state") !== pending.state) throw new Error("This log-in was not begun here");
  if (!code)
    throw new Error(query.get("error_description") ?? query.get("error") ?? "No code came back");
  const found = await discover(pending.issuer);
  const answer = await fetch(found.token_endpoint, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      code,
      client_id: pending.clientId,
      redirect_uri: redirectUri(),
      code_verifier: pending.verifier,
    }),
  });
  const body = (await answer.json()) as {
    access_token?: string;
    id_token?: string;
    error_description?: string;
  };
  const token = body.access_token?.split(".").length === 3 ? body.access_token : body.id_token;
  if (!answer.ok || !token) throw new Error(body.error_description ?? "The issuer gave no token");
  setToken(token);
  return pending.back;
}

function redirectUri(): string {
  return `${location.origin}/console/login`;
}

function random(bytes: number): string {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}
