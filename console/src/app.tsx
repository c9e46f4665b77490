import type { ComponentType } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { asApiError, isRefused, onTokenChange, setToken, tokenOfTab } from "./api";
import { Access, endLogin } from "./auth";
import { useOldest } from "./hooks";
import { Connections, ConnectionsOf } from "./pages/connections";
import { EventOf, Events } from "./pages/events";
import { ExecutionOf, Executions } from "./pages/executions";
import { Workflows } from "./pages/workflows";
import { go, mayLeave, to, unsavedText, usePlace } from "./router";
import { Act, copy, Empty, Note, Problem, Toasts, Waiting } from "./ui";

const PLACES: [string, string, string][] = [
  ["", "Connections", "M9 12h6M8 8H7a4 4 0 0 0 0 8h1M16 8h1a4 4 0 0 1 0 8h-1"],
  ["workflows", "Workflows", "M5 5h5v5H5zM14 14h5v5h-5zM7.5 10v4a2.5 2.5 0 0 0 2.5 2.5h4"],
  ["executions", "Executions", "M4 12h4l2-6 4 12 2-6h4"],
  ["events", "Events", "M13 3 5 14h6l-1 7 8-11h-6z"],
  ["playground", "Playground", "M8 5v14l11-7z"],
  ["settings", "Settings", "M4 7h10M18 7h2M4 17h2M10 17h10M14 5v4M6 15v4"],
];

export function App() {
  const place = usePlace();
  const { refused, session } = useAccess();
  if (location.pathname === "/connect")
    return <Later load={() => import("./pages/connect").then((m) => m.Connect)} />;
  if (place.parts[0] === "login") return <Returned />;
  return (
    <>
      {refused && <Refused />}
      <div hidden={refused}>
        <Frame parts={place.parts} session={session} />
      </div>
      <Toasts />
    </>
  );
}

/** Whether the API refuses the token, and which session this is: another one begins anew. */
function useAccess(): { refused: boolean; session: number } {
  const [access, set] = useState({ refused: isRefused(), session: 0 });
  useEffect(
    () =>
      onTokenChange(() =>
        set((old) => ({
          refused: isRefused(),
          // Who logs in again goes on where the token expired, with all that was typed.
          session: isRefused() || old.refused ? old.session : old.session + 1,
        })),
      ),
    [],
  );
  return access;
}

/** The log-in, over a page that stays as it is. */
function Refused() {
  const above = useRef<HTMLDialogElement>(null);
  const [inDialog] = useState(() => document.querySelector("dialog[open]") !== null);
  const show = () => {
    if (above.current && !above.current.open) above.current.showModal();
  };
  useLayoutEffect(show, []);
  const text = unsavedText();
  const content = (
    <>
      <Access expired={tokenOfTab() !== null} />
      {text !== undefined && (
        <div class="centre">
          <p class="soft">
            What is not saved is still here after you have given a token. Logging in elsewhere
            leaves the page: <Act run={() => copy(text)}>Copy what is not saved</Act>
          </p>
        </div>
      )}
    </>
  );
  // An open dialog lets nothing be used but another one above it.
  return inDialog ? (
    <dialog ref={above} aria-label="Log in" onCancel={(e) => e.preventDefault()} onClose={show}>
      {content}
    </dialog>
  ) : (
    content
  );
}

function Frame({ parts, session }: { parts: string[]; session: number }) {
  const now = parts[0] ?? "";
  const current = now === "connections" ? "" : now;
  // The tabs of the settings are one page: the focus stays on the one that was chosen.
  const page = `${session} ${now === "settings" ? now : parts.join("/")}`;
  const main = useRef<HTMLElement>(null);
  const shown = useRef(page);
  useEffect(() => {
    // What was pressed is gone with the page before; who uses a keyboard goes on in this one.
    if (shown.current !== page && document.activeElement === document.body) main.current?.focus();
    shown.current = page;
  }, [page]);
  return (
    <div class="frame">
      <header class="side">
        <a class="skip" href="#content">
          Skip to the content
        </a>
        <a class="brand" href={to()}>
          <img src="/console/icon.svg" alt="" /> Integrations
        </a>
        <nav aria-label="Main">
          <ul class="nav">
            {PLACES.map(([path, title, icon]) => (
              <li key={path}>
                <a
                  href={path ? to(path) : to()}
                  aria-current={path === current ? "page" : undefined}
                >
                  <svg
                    viewBox="0 0 24 24"
                    fill="none"
                    stroke="currentColor"
                    stroke-width="2"
                    aria-hidden="true"
                  >
                    <path d={icon} stroke-linecap="round" stroke-linejoin="round" />
                  </svg>
                  {title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="side-end">
          <a class="plain" href="/docs">
            Documentation
          </a>
          {tokenOfTab() && (
            <button type="button" class="plain" onClick={() => mayLeave() && setToken(null)}>
              Log out
            </button>
          )}
        </div>
      </header>
      <main id="content" tabIndex={-1} ref={main}>
        <Oldest />
        <Page key={page} parts={parts} />
      </main>
    </div>
  );
}

/** What says that the page shows something old, whichever page it is. */
function Oldest() {
  const old = useOldest();
  if (!old) return null;
  return (
    <Note tone="warn">
      <p>
        Not updated since {new Date(old.at).toLocaleTimeString()}: {old.why}
      </p>
    </Note>
  );
}

function Page({ parts }: { parts: string[] }) {
  const [first, second] = parts;
  switch (first) {
    case undefined:
      return <Connections />;
    case "connections":
      return second ? <ConnectionsOf id={second} /> : <Connections />;
    case "workflows":
      return second ? (
        <Later
          load={() => import("./pages/workflow").then((m) => m.default)}
          props={{ id: second }}
        />
      ) : (
        <Workflows />
      );
    case "executions":
      return second ? <ExecutionOf id={second} /> : <Executions />;
    case "events":
      return second ? <EventOf id={second} /> : <Events />;
    case "playground":
      return <Later load={() => import("./pages/playground").then((m) => m.default)} />;
    case "settings":
      return (
        <Later
          load={() => import("./pages/settings").then((m) => m.default)}
          props={{ part: second ?? "tokens" }}
        />
      );
    default:
      return (
        <Empty title="There is no such page">
          <a href={to()}>To the connections</a>
        </Empty>
      );
  }
}

/** A page whose code is loaded when it is first shown. */
function Later<P extends object>({
  load,
  props,
}: {
  load: () => Promise<ComponentType<P>>;
  props?: P;
}) {
  const [Loaded, set] = useState<{ page: ComponentType<P> }>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    load().then((page) => set({ page }), setError);
  }, []);
  if (error) return <Problem error={asApiError(error)} retry={() => location.reload()} />;
  if (!Loaded) return <Waiting />;
  return <Loaded.page {...((props ?? {}) as P)} />;
}

/** Where the issuer sends the browser back to. */
function Returned() {
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    endLogin().then((back) => go(back ?? "/", { replace: true }), setError);
  }, []);
  if (!error) return <Waiting />;
  return (
    <main class="centre">
      <h1>Not logged in</h1>
      <Problem error={asApiError(error)} />
      <a href="/">Start again</a>
    </main>
  );
}
