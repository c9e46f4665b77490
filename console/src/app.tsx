import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { asApiError, isRefused, onTokenChange, setToken, tokenOfTab } from "./api";
import { Access, endLogin } from "./auth";
import { Connections, ConnectionsOf } from "./pages/connections";
import { EventOf, Events } from "./pages/events";
import { ExecutionOf, Executions } from "./pages/executions";
import { Workflows } from "./pages/workflows";
import { go, to, usePlace } from "./router";
import { Empty, Problem, Toasts, Waiting } from "./ui";

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
  const [, again] = useState(0);
  useEffect(() => onTokenChange(() => again((count) => count + 1)), []);
  if (location.pathname === "/connect")
    return <Later load={() => import("./pages/connect").then((m) => m.Connect)} />;
  if (place.parts[0] === "login") return <Returned />;
  if (isRefused()) return <Access expired={tokenOfTab() !== null} />;
  const now = place.parts[0] ?? "";
  const current = now === "connections" ? "" : now;
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
            <button type="button" class="plain" onClick={() => setToken(null)}>
              Log out
            </button>
          )}
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <Page key={place.parts.join("/") + tokenOfTab()} parts={place.parts} />
      </main>
      <Toasts />
    </div>
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
