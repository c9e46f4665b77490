/** The pieces that the pages are made of. */
import type { ApiError } from "@integrations-backend/client";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { newKey, onTokenChange } from "./api";
import { useAction } from "./hooks";

type Children = { children?: ComponentChildren };

// -- words -------------------------------------------------------------------------------------

const TONES: Record<string, string> = {
  connected: "good",
  succeeded: "good",
  dispatched: "good",
  completed: "good",
  enabled: "good",
  valid: "good",
  needs_reauth: "bad",
  failed: "bad",
  error: "bad",
  refused: "bad",
  expired: "bad",
  retrying: "warn",
  filtered: "warn",
  unmatched: "warn",
  running: "busy",
  queued: "busy",
};
const WORDS: Record<string, string> = {
  needs_reauth: "log in again",
  disconnected: "not connected",
};

/** A state in a word, coloured; the word says it, the colour only helps. */
export function Badge({ state }: { state: string }) {
  return (
    <span class={`badge ${TONES[state] ?? ""}`} data-state={state}>
      {WORDS[state] ?? state.replaceAll("_", " ")}
    </span>
  );
}

export function toneOf(state: string): string {
  return TONES[state] ?? "";
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** A moment: how long ago, and when exactly on hover. */
export function Time({ at }: { at: string | null | undefined }) {
  if (!at) return <span class="soft">–</span>;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return <span>{at}</span>;
  const seconds = (date.getTime() - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  const days = Math.abs(seconds) > 86_400 * 14;
  return (
    <time dateTime={at} title={date.toLocaleString()} class="nowrap">
      {days
        ? date.toLocaleDateString(undefined, { dateStyle: "medium" })
        : relative.format(Math.round(seconds / size), unit)}
    </time>
  );
}

export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${ms} ms`;
  const seconds = ms / 1000;
  return seconds < 90 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;
}

export function between(from?: string | null, until?: string | null): string {
  const ms = Date.parse(until ?? "") - Date.parse(from ?? "");
  return duration(Number.isNaN(ms) ? null : ms);
}

// -- structure ---------------------------------------------------------------------------------

export function Head({
  title,
  text,
  back,
  children,
}: { title: ComponentChildren; text?: ComponentChildren; back?: [string, string] } & Children) {
  return (
    <div class="head">
      <div>
        {back && (
          <a class="small" href={back[0]}>
            ← {back[1]}
          </a>
        )}
        <h1>{title}</h1>
        {text && <p class="soft">{text}</p>}
      </div>
      <div class="row">{children}</div>
    </div>
  );
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {of
        .filter(([, value]) => value !== undefined && value !== null && value !== "")
        .map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
    </dl>
  );
}

export function Empty({ title, children }: { title: string } & Children) {
  return (
    <div class="card empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Waiting() {
  return (
    <div class="stack" role="status">
      <span class="visually-hidden">Loading…</span>
      <div class="skeleton" />
      <div class="skeleton" />
    </div>
  );
}

export function Note({ tone, children }: { tone?: "good" | "bad" | "warn" } & Children) {
  return (
    <div class={`note ${tone ?? ""}`} role={tone === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}

/** What the API refused, with the fields that no form shows. */
export function Problem({
  error,
  shown,
  retry,
}: {
  error: ApiError | undefined;
  shown?: (field: string) => boolean;
  retry?: () => void;
}) {
  if (!error) return null;
  const rest = error.errors.filter((each) => !shown?.(each.field));
  return (
    <Note tone="bad">
      <p>
        <strong>{error.message}</strong>
      </p>
      {rest.length > 0 && (
        <ul>
          {rest.map((each) => (
            <li key={each.field}>
              <code>{each.field}</code>: {each.message}
            </li>
          ))}
        </ul>
      )}
      {error.retryAfter !== null && <p>Try again in {error.retryAfter} s.</p>}
      <p class="small soft">
        {error.code}
        {error.requestId ? ` · request ${error.requestId}` : ""}
      </p>
      {retry && (
        <p>
          <button type="button" onClick={retry}>
            Try again
          </button>
        </p>
      )}
    </Note>
  );
}

/**
 * A button that runs something and cannot be pressed twice meanwhile.
 *
 * `run` gets an idempotency key, the same one until it succeeds: a press after a failure whose
 * request had arrived does nothing twice.
 */
export function Act({
  run,
  children,
  class: name,
  done,
  label,
  disabled,
}: {
  run: (key: string) => Promise<void>;
  class?: string;
  done?: string;
  label?: string;
  disabled?: boolean;
} & Children) {
  const key = useRef("");
  const action = useAction(async () => {
    key.current ||= newKey();
    await run(key.current);
    key.current = "";
    if (done) toast(done);
  });
  return (
    <>
      <button
        type="button"
        class={name ?? ""}
        disabled={action.busy || disabled}
        aria-label={label}
        onClick={() => void action.run()}
      >
        {children}
      </button>
      {action.error && (
        <Dialog title="That did not work" close={action.clear}>
          <Problem error={action.error} />
        </Dialog>
      )}
    </>
  );
}

/**
 * Asks before something that cannot be undone.
 *
 * `run` gets an idempotency key and the moment, both of when it was asked: who confirms again, after
 * an answer that was lost, says the same once more.
 */
export function Confirm({
  title,
  text,
  word,
  run,
  children,
  class: name,
  done,
}: {
  title: string;
  text: ComponentChildren;
  word: string;
  run: (key: string, asked: Date) => Promise<void>;
  class?: string;
  done?: string;
} & Children) {
  const [open, setOpen] = useState(false);
  const asked = useRef({ key: "", at: new Date() });
  const action = useAction(async () => {
    await run(asked.current.key, asked.current.at);
    setOpen(false);
    if (done) toast(done);
  });
  const close = () => {
    setOpen(false);
    action.clear();
  };
  return (
    <>
      <button
        type="button"
        class={name ?? "danger"}
        onClick={() => {
          if (!action.busy) asked.current = { key: newKey(), at: new Date() };
          setOpen(true);
        }}
      >
        {children}
      </button>
      {(open || action.error) && (
        // Closed meanwhile, it is there again where it failed.
        <Dialog title={title} close={close}>
          <p>{text}</p>
          <Problem error={action.error} />
          <div class="row end">
            <button type="button" disabled={action.busy} onClick={close}>
              Cancel
            </button>
            <button
              type="button"
              class="danger"
              disabled={action.busy}
              onClick={() => void action.run()}
            >
              {word}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}

export function Dialog({
  title,
  close,
  children,
}: { title: string; close: () => void } & Children) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    // Behind the log-in nobody would see it, but it would let nothing else be used.
    const show = () => {
      if (dialog?.isConnected && !dialog.open && !dialog.closest("[hidden]")) dialog.showModal();
    };
    show();
    const stop = onTokenChange(() => setTimeout(show));
    return () => {
      stop();
      dialog?.close();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      aria-labelledby={id}
      // Of a dialog that was taken away the browser tells later: it is nobody's any more.
      onClose={(event) => event.currentTarget.isConnected && close()}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
    >
      <div class="stack">
        <div class="row between">
          <h2 id={id}>{title}</h2>
          <button type="button" class="plain" aria-label="Close" onClick={close}>
            ✕
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

/** Tabs, and as `children` the panel of the one that is chosen; `set` may answer that it is not. */
export function Tabs({
  of,
  now,
  set,
  label,
  children,
}: {
  of: [string, string][];
  now: string;
  set: (name: string) => unknown;
  label: string;
  children: ComponentChildren;
}) {
  const id = useId();
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    const at = of.findIndex(([name]) => name === now);
    const next = of[(at + step + of.length) % of.length];
    if (!next || set(next[0]) === false) return;
    (event.currentTarget as HTMLElement)
      .querySelectorAll<HTMLElement>("button")
      .item((at + step + of.length) % of.length)
      .focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
        {of.map(([name, title]) => (
          <button
            type="button"
            key={name}
            id={`${id}-${name}`}
            role="tab"
            aria-selected={name === now}
            aria-controls={`${id}-panel`}
            tabIndex={name === now ? 0 : -1}
            onClick={() => set(name)}
          >
            {title}
          </button>
        ))}
      </div>
      <div class="stack wide" role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${now}`}>
        {children}
      </div>
    </>
  );
}

// -- values ------------------------------------------------------------------------------------

export function Json({ value, label }: { value: unknown; label?: string }) {
  if (value === undefined || value === null) return <span class="soft">none</span>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
    <section class="scroll" tabIndex={0} aria-label={label ?? "JSON"}>
      <pre>{typeof value === "string" ? value : JSON.stringify(value, null, 2)}</pre>
    </section>
  );
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages over plain HTTP have none, and a browser may refuse it.
    throw new Error("The browser lets this page copy nothing: mark the text, and copy it yourself");
  }
  toast("Copied");
}

/** A value to take elsewhere. */
export function Copy({ value, label }: { value: string; label: string }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="with-button">
        <input
          id={id}
          class="mono"
          readOnly
          value={value}
          onFocus={(e) => e.currentTarget.select()}
        />
        <Act run={() => copy(value)} label={`Copy ${label}`}>
          Copy
        </Act>
      </div>
    </div>
  );
}

export function Field({
  label,
  hint,
  error,
  optional,
  children,
}: {
  label: string;
  hint?: ComponentChildren;
  error?: string | undefined;
  optional?: boolean;
  children: (attributes: {
    id: string;
    "aria-describedby"?: string;
    "aria-invalid"?: "true";
  }) => JSX.Element;
}) {
  const id = useId();
  const described = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""]
    .filter(Boolean)
    .join(" ");
  return (
    <div class="field">
      <label for={id}>
        {label} {optional && <span class="optional">optional</span>}
      </label>
      {children({
        id,
        ...(described ? { "aria-describedby": described } : {}),
        ...(error ? { "aria-invalid": "true" } : {}),
      })}
      {error && (
        <span class="error" id={`${id}-error`}>
          {error}
        </span>
      )}
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {typeof hint === "string" ? <Text of={hint} /> : hint}
        </span>
      )}
    </div>
  );
}

/** A sentence in which `code` stands between backticks. */
export function Text({ of }: { of: string }) {
  return <>{of.split("`").map((part, at) => (at % 2 ? <code key={part}>{part}</code> : part))}</>;
}

// -- toasts ------------------------------------------------------------------------------------

let show: (text: string) => void = () => {};

/** Says something for a few seconds. */
export function toast(text: string): void {
  show(text);
}

export function Toasts() {
  const [all, set] = useState<{ id: number; text: string }[]>([]);
  useEffect(() => {
    let count = 0;
    show = (text) => {
      count += 1;
      const id = count;
      set((old) => [...old, { id, text }]);
      setTimeout(() => set((old) => old.filter((each) => each.id !== id)), 5000);
    };
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {all.map((each) => (
        <div key={each.id} class="toast">
          {each.text}
        </div>
      ))}
    </div>
  );
}

/** The next page of a list. */
/** What asks for more of a list; a page of the API may be empty while more follow. */
export function More({
  token,
  load,
  empty = false,
}: {
  token: string | null | undefined;
  load: () => Promise<void>;
  /** Whether nothing was found so far. */
  empty?: boolean;
}) {
  if (!token) return null;
  if (empty)
    return (
      <Empty title="None among the newest">
        <p>Older ones may be there.</p>
        <Act run={load}>Look further</Act>
      </Empty>
    );
  return (
    <div class="row">
      <Act run={load}>Load more</Act>
    </div>
  );
}
