/** Logging in at a provider: a window, and asking how far it is. */
import { useEffect, useRef, useState } from "preact/hooks";
import { request } from "./api";
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

/** A button that logs in, and what comes of it. */
export function LogIn({
  provider,
  connection,
  label,
  done,
  token,
  ended,
  disabled,
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
}) {
  const [phase, setPhase] = useState<Phase>({ at: "idle" });
  const popup = useRef<Window | null>(null);
  const options = token === undefined ? {} : { token };
  const start = useAction(async () => {
    // Opened at once, in the click: a later one would be blocked.
    popup.current = open("about:blank", "integrations-login", "popup,width=520,height=720");
    try {
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
  const finished = useRef(done);
  finished.current = done;
  const failed = useRef(ended);
  failed.current = ended;
  useEffect(() => {
    if (!waiting) return;
    let over = false;
    const look = async () => {
      try {
        const now = await request<Handshake>(
          "GET",
          `/api/integrations/oauth/status/${encodeURIComponent(waiting)}`,
          undefined,
          options,
        );
        if (over || now.status === "pending") return;
        popup.current?.close();
        if (now.status === "completed") {
          setPhase({ at: "done" });
          await finished.current();
        } else {
          const message =
            now.error?.message ??
            (now.status === "expired"
              ? "The log-in took too long. Start again."
              : "The log-in did not succeed.");
          setPhase({ at: "failed", message });
          failed.current?.(message);
        }
      } catch {
        // The next look may succeed; a handshake ends by itself after ten minutes.
      }
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
  }, [waiting]);
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
