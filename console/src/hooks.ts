import type { ApiError } from "@integrations-backend/client";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asApiError } from "./api";

export interface Loaded<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
  reload: () => Promise<void>;
}

/** Loads something, again when `key` changes, and every so many milliseconds while one looks. */
export function useLoad<T>(load: () => Promise<T>, key: string, every = 0): Loaded<T> {
  const [state, set] = useState<{ key: string; data?: T; error?: ApiError }>({ key: "" });
  const latest = useRef(load);
  latest.current = load;
  const wanted = useRef(key);
  wanted.current = key;
  const reload = useCallback(async () => {
    const mine = wanted.current;
    try {
      const data = await latest.current();
      if (wanted.current === mine) set({ key: mine, data });
    } catch (error) {
      if (wanted.current === mine)
        set((old) => ({
          key: mine,
          error: asApiError(error),
          ...(old.key === mine && old.data !== undefined ? { data: old.data } : {}),
        }));
    }
  }, []);
  useEffect(() => {
    void reload();
    if (!every) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void reload();
    }, every);
    return () => clearInterval(timer);
  }, [key, every, reload]);
  const fresh = state.key === key;
  return {
    data: fresh ? state.data : undefined,
    error: fresh ? state.error : undefined,
    loading: !fresh,
    reload,
  };
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
    document.title = `${title} · Integrations`;
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
