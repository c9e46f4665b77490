import type { ApiError } from "@integrations-backend/client";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asApiError, isRefused, onTokenChange } from "./api";

export interface Loaded<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
  reload: () => Promise<void>;
  /** Puts something in the place of what is shown, such as what a change has answered. */
  put: (change: (data: T | undefined) => T | undefined) => void;
}

interface State<T> {
  key: string;
  data?: T | undefined;
  error?: ApiError;
  /** When `data` was loaded. */
  at?: number;
}

/** After how many milliseconds a load is no longer waited for before the next one. */
const LOST = 60_000;

/**
 * Loads something, again when `key` changes or who asks has logged in again, and every so many
 * milliseconds while one looks, which may depend on what is shown. `load` is told whether it is one
 * of these.
 */
export function useLoad<T>(
  load: (polled: boolean) => Promise<T>,
  key: string,
  every: number | ((data: T | undefined) => number) = 0,
): Loaded<T> {
  const [state, set] = useState<State<T>>({ key: "" });
  const fresh = state.key === key;
  const data = fresh ? state.data : undefined;
  const pause = typeof every === "number" ? every : every(data);
  const latest = useRef(load);
  latest.current = load;
  const shown = useRef(state);
  shown.current = state;
  const wanted = useRef(key);
  wanted.current = key;
  const turn = useRef({ begun: 0, taken: 0, waiting: 0, quietUntil: 0 });
  const begin = useCallback(async (polled: boolean) => {
    const mine = wanted.current;
    const now = turn.current;
    now.begun += 1;
    const number = now.begun;
    now.waiting = Date.now();
    // What was asked earlier may be answered later: it is older than what is shown by then.
    const take = (next: (old: State<T>) => State<T>) => {
      if (number === now.begun) now.waiting = 0;
      if (wanted.current !== mine || number < now.taken) return;
      now.taken = number;
      set(next);
    };
    try {
      const data = await latest.current(polled);
      take(() => ({ key: mine, data, at: Date.now() }));
    } catch (thrown) {
      const error = asApiError(thrown);
      now.quietUntil = Date.now() + (error.retryAfter ?? 0) * 1000;
      take((old) => ({ ...(old.key === mine ? old : {}), key: mine, error }));
    }
  }, []);
  const reload = useCallback(() => begin(false), [begin]);
  const put = useCallback((change: (data: T | undefined) => T | undefined) => {
    const mine = wanted.current;
    if (shown.current.key !== mine) return;
    // Whatever is on its way was asked before this.
    const now = turn.current;
    now.begun += 1;
    now.taken = now.begun;
    now.waiting = 0;
    set((old) => (old.key === mine ? { ...old, data: change(old.data) } : old));
  }, []);
  useEffect(() => {
    void begin(false);
    if (!pause) return;
    const timer = setInterval(() => {
      const { waiting, quietUntil } = turn.current;
      if (document.visibilityState !== "visible" || isRefused()) return;
      if (Date.now() < quietUntil || Date.now() - waiting < LOST) return;
      void begin(true);
    }, pause);
    return () => clearInterval(timer);
  }, [key, pause, begin]);
  useEffect(() => onTokenChange(() => void (isRefused() || begin(false))), [begin]);
  useOldness(fresh && state.error && state.data !== undefined ? state : undefined);
  return {
    data,
    error: fresh ? state.error : undefined,
    loading: !fresh,
    reload,
    put,
  };
}

/** What is shown although it could not be loaded again: since when it is so, and why. */
export interface Old {
  at: number;
  why: string;
}

const old = new Map<object, Old>();
const listeners = new Set<() => void>();

function useOldness(state: { at?: number; error?: ApiError } | undefined): void {
  const at = state?.at;
  const why = state?.error?.message;
  useEffect(() => {
    if (at === undefined || why === undefined) return;
    const mine = {};
    const tell = () => {
      for (const listen of listeners) listen();
    };
    old.set(mine, { at, why });
    tell();
    return () => {
      old.delete(mine);
      tell();
    };
  }, [at, why]);
}

/** The oldest of what the page shows and could not load again. */
export function useOldest(): Old | undefined {
  const [now, set] = useState<Old>();
  useEffect(() => {
    const look = () => set([...old.values()].sort((a, b) => a.at - b.at)[0]);
    look();
    listeners.add(look);
    return () => void listeners.delete(look);
  }, []);
  return now;
}

/** Runs something on demand and tells whether it runs, and how it failed. */
export function useAction<A extends unknown[]>(
  act: (...args: A) => Promise<void>,
): {
  run: (...args: A) => Promise<void>;
  busy: boolean;
  error: ApiError | undefined;
  clear: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const running = useRef(false);
  const run = async (...args: A) => {
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setError(undefined);
    try {
      await act(...args);
    } catch (thrown) {
      setError(asApiError(thrown));
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { run, busy, error, clear: () => setError(undefined) };
}

/** The page's title while a component is shown. */
export function useTitle(title: string): void {
  useEffect(() => {
    const before = document.title;
    document.title = `${title} · Integrations`;
    // Whoever logs in again comes back to a page that is there already.
    return () => {
      document.title = before;
    };
  }, [title]);
}

/** A value that settles: the last one, once it has been the same for so many milliseconds. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
