/** The page of a connect session: one person connects one account, and nothing else is here. */
import { useEffect, useState } from "preact/hooks";
import { request } from "../api";
import { CredentialsForm } from "../credentials";
import { useLoad, useTitle } from "../hooks";
import { LogIn } from "../oauth";
import type { ConnectSession, Page, Provider } from "../types";
import { Facts, Note, Problem, Time, Waiting } from "../ui";
import { loginLabel, Tile } from "./connections";

/** What the address said behind the `#`; it is taken out of it at once. */
interface Asked {
  token: string;
  provider: string;
  origin: string;
}
interface Ending {
  status: "connected" | "failed" | "cancelled";
  message?: string;
}

function takeFragment(): Asked {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.get("token")) history.replaceState(null, "", location.pathname);
  const origin = fragment.get("origin") ?? "";
  return {
    token: fragment.get("token") ?? "",
    provider: fragment.get("provider") ?? "",
    // A page of a file, or in a sandbox, has the origin "null": nothing can be sent to that.
    origin: URL.canParse(origin) ? origin : "",
  };
}

export function Connect() {
  useTitle("Connect");
  const [asked] = useState(takeFragment);
  return (
    <main class="centre">
      {asked.token ? (
        <Session asked={asked} />
      ) : (
        <>
          <h1>Connect</h1>
          <Note tone="bad">
            <p>
              <strong>This page was opened without a session.</strong> Go back to the application
              and start there.
            </p>
          </Note>
        </>
      )}
    </main>
  );
}

function Session({ asked }: { asked: Asked }) {
  const { token } = asked;
  const session = useLoad(
    () => request<ConnectSession>("GET", "/api/connect/session", undefined, { token }),
    "session",
  );
  const catalogue = useLoad(
    () => request<Page<Provider>>("GET", "/api/integrations", undefined, { token }),
    "catalogue",
  );
  const [chosen, setChosen] = useState(asked.provider);
  const [ending, setEnding] = useState<Ending>();
  // Why the last log-in did not succeed: another one may, so it is no end until somebody leaves.
  const [failure, setFailure] = useState<string>();
  const error = session.error ?? catalogue.error;
  const allowed = (catalogue.data?.items ?? []).filter((each) =>
    session.data?.providers.includes(each.id),
  );
  const only = allowed.length === 1 ? allowed[0] : undefined;
  const provider =
    allowed.find((each) => each.id === chosen) ?? (asked.provider ? undefined : only);
  const end = (next: Ending) => {
    setEnding(next);
    if (session.data) tell(asked, session.data, provider?.id ?? asked.provider, next);
  };
  const given: Ending =
    failure === undefined ? { status: "cancelled" } : { status: "failed", message: failure };
  useEffect(() => {
    // Whoever closes the window without an end has cancelled, or given up.
    const leave = () => {
      if (!ending && session.data && provider) post(asked, session.data, provider.id, given);
    };
    addEventListener("pagehide", leave);
    return () => removeEventListener("pagehide", leave);
  }, [ending, session.data, provider, asked, failure]);
  useEffect(() => greet(asked), [asked]);
  if (error?.isUnauthorized)
    return (
      <>
        <h1>Connect</h1>
        <Note tone="bad">
          <p>
            <strong>This session is over.</strong> Go back to the application and start again.
          </p>
        </Note>
      </>
    );
  if (error)
    return (
      <>
        <h1>Connect</h1>
        <Problem
          error={error}
          retry={() => void Promise.all([session.reload(), catalogue.reload()])}
        />
      </>
    );
  if (!session.data || !catalogue.data) return <Waiting />;
  const { data } = session;
  const application = data.application || "The application";
  if (ending)
    return (
      <div class="card stack" role="status">
        <h1>{ending.status === "connected" ? "Connected" : "Not connected"}</h1>
        <p>
          {ending.status === "connected"
            ? `${application} can now use ${provider?.title ?? "the account"}. You can close this window.`
            : (ending.message ?? "Nothing was changed. You can close this window.")}
        </p>
      </div>
    );
  const refused = asked.provider && !allowed.some((each) => each.id === asked.provider);
  return (
    <>
      <div class="stack tight">
        <h1>{provider ? `Connect ${provider.title}` : "Connect an account"}</h1>
        <p class="soft">
          <strong>{application}</strong> asks to act with your account.
        </p>
      </div>
      {refused && (
        <Note tone="bad">
          <p>This session is not for {asked.provider}.</p>
        </Note>
      )}
      {!provider && !refused && (
        <ul class="cards">
          {allowed.map((each) => (
            <li key={each.id}>
              <button type="button" onClick={() => setChosen(each.id)}>
                <Tile title={each.title} /> {each.title}
              </button>
            </li>
          ))}
        </ul>
      )}
      {provider && (
        <div class="card stack">
          {provider.oauth ? (
            <>
              <p>
                A window of the provider asks you to log in and to agree. {application} never sees
                your password.
              </p>
              <LogIn
                provider={provider.id}
                connection={data.connection}
                token={token}
                label={loginLabel(provider)}
                done={() => end({ status: "connected" })}
                ended={setFailure}
              />
            </>
          ) : (
            <CredentialsForm
              provider={provider}
              connection={data.connection}
              token={token}
              saved={() => end({ status: "connected" })}
            />
          )}
          <div class="row between">
            <button type="button" class="plain" onClick={() => end(given)}>
              Cancel
            </button>
            {allowed.length > 1 && !asked.provider && (
              <button
                type="button"
                class="plain"
                onClick={() => {
                  setFailure(undefined);
                  setChosen("");
                }}
              >
                Another account
              </button>
            )}
          </div>
        </div>
      )}
      <Facts of={[["This session ends", <Time key="e" at={data.expiresAt} />]]} />
    </>
  );
}

/** Lets the page that opened this one know that it can be told: its own policy may forbid that. */
function greet(asked: Asked): void {
  const opener = window.opener as Window | null;
  if (asked.origin) opener?.postMessage({ type: "integrations.connect.opened" }, asked.origin);
}

/** Tells the page that opened this one; only its own origin, where it said which. */
function post(asked: Asked, session: ConnectSession, provider: string, ending: Ending): void {
  const opener = window.opener as Window | null;
  if (!opener) return;
  const target = asked.origin || (session.redirectUri ? new URL(session.redirectUri).origin : "*");
  const { connection } = session;
  opener.postMessage({ type: "integrations.connect", ...ending, provider, connection }, target);
}

function tell(asked: Asked, session: ConnectSession, provider: string, ending: Ending): void {
  if (window.opener) {
    post(asked, session, provider, ending);
    setTimeout(() => window.close(), 300);
  } else if (session.redirectUri) {
    const url = new URL(session.redirectUri);
    url.searchParams.set("provider", provider);
    url.searchParams.set("connection", session.connection);
    url.searchParams.set("status", ending.status);
    location.replace(url);
  }
}
