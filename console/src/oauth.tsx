/** Logging in at a provider: a window, and asking how far it is. */
import { useEffect, useRef, useState } from "preact/hooks";
import { asApiError, request } from "./api";
import { useAction } from "./hooks";
import { Note, Problem } from "./ui";

interface Started {
  authUrl: string;
  handshakeId: string;
  expiresAt: string;
}
interface Handshake {
  status: "pending" | "completed" | "failed" | "expired";
  error?: { code: string; message: string } | null;
}
type Phase =
  | { at: "idle" | "done" }
  | { at: "waiting"; blocked: boolean; started: Started }
  | { at: "failed"; message: string };

const EVERY = 1000;
const LATE = "The log-in took too long. Start again.";

/** A button that logs in, and what comes of it. */
export function LogIn({
  provider,
  connection,
  label,
  done,
  token,
  ended,
  disabled,
  check,
}: {
  provider: string;
  connection: string;
  label: string;
  done: () => void | Promise<void>;
  /** Of a connect session, in place of the tab's. */
  token?: string;
  /** Called when a log-in failed. */
  ended?: (message: string) => void;
  disabled?: boolean;
  /** Throws where it should not begin. */
  check?: () => Promise<void>;
}) {
  const [phase, setPhase] = useState<Phase>({ at: "idle" });
  const popup = useRef<Window | null>(null);
  const options = token === undefined ? {} : { token };
  const start = useAction(async () => {
    // Opened at once, in the click: a later one would be blocked.
    popup.current = open("about:blank", "integrations-login", "popup,width=520,height=720");
    try {
      await check?.();
      const started = await request<Started>(
        "POST",
        `/api/integrations/oauth/start/${encodeURIComponent(provider)}`,
        { connection },
        options,
      );
      if (popup.current) popup.current.location.href = started.authUrl;
      setPhase({ at: "waiting", blocked: !popup.current, started });
    } catch (error) {
      popup.current?.close();
      throw error;
    }
  });
  const waiting = phase.at === "waiting" ? phase.started.handshakeId : "";
  const expiresAt = phase.at === "waiting" ? phase.started.expiresAt : "";
  const finished = useRef(done);
  finished.current = done;
  const failed = useRef(ended);
  failed.current = ended;
  useEffect(() => {
    if (!waiting) return;
    let over = false;
    const fail = (message: string) => {
      over = true;
      popup.current?.close();
      setPhase({ at: "failed", message });
      failed.current?.(message);
    };
    const look = async () => {
      try {
        const now = await request<Handshake>(
          "GET",
          `/api/integrations/oauth/status/${encodeURIComponent(waiting)}`,
          undefined,
          options,
        );
        if (over || now.status === "pending") return;
        if (now.status !== "completed") {
          const late = now.status === "expired" ? LATE : "The log-in did not succeed.";
          fail(now.error?.message ?? late);
          return;
        }
      } catch (error) {
        if (over) return;
        const { status, code } = asApiError(error);
        // API Gateway says 403 to a token that it no longer knows.
        if (status === 401 || status === 404 || code === "forbidden")
          fail("The session ended before the log-in did. Start again.");
        // Else the next look may succeed, for as long as there is something to be seen.
        else if (Date.now() > Date.parse(expiresAt)) fail(LATE);
        return;
      }
      over = true;
      popup.current?.close();
      setPhase({ at: "done" });
      await finished.current();
    };
    const timer = setInterval(() => void look(), EVERY);
    const receive = (event: MessageEvent) => {
      if (event.origin === location.origin && event.data?.type === "integrations:oauth")
        void look();
    };
    addEventListener("message", receive);
    return () => {
      over = true;
      clearInterval(timer);
      removeEventListener("message", receive);
    };
  }, [waiting, expiresAt]);
  return (
    <div class="stack">
      <div class="row">
        <button
          type="button"
          class="primary"
          disabled={start.busy || phase.at === "waiting" || disabled}
          onClick={() => void start.run()}
        >
          {phase.at === "waiting" ? "Waiting for the log-in…" : label}
        </button>
        {phase.at === "waiting" && (
          <button
            type="button"
            onClick={() => {
              popup.current?.close();
              setPhase({ at: "idle" });
            }}
          >
            Cancel
          </button>
        )}
      </div>
      <Problem error={start.error} />
      {phase.at === "waiting" &&
        (phase.blocked ? (
          <Note tone="warn">
            <p>
              The browser blocked the window.{" "}
              <a href={phase.started.authUrl} target="_blank" rel="noopener">
                Open the log-in yourself
              </a>
              ; this page notices when it is done.
            </p>
          </Note>
        ) : (
          <p class="soft" role="status">
            Finish the log-in in the other window. Closed it? Cancel, and start again.
          </p>
        ))}
      {phase.at === "failed" && (
        <Note tone="bad">
          <p>
            <strong>Not connected.</strong> {phase.message}
          </p>
        </Note>
      )}
    </div>
  );
}
