/** How the console calls the API, and who it says it is. */
import { ApiError } from "@integrations-backend/client";
import { exact } from "./exact";

const KEY = "integrations.token";
const listeners = new Set<() => void>();

/** The token of this tab: gone with it, and in no other storage. */
export function tokenOfTab(): string | null {
  return sessionStorage.getItem(KEY);
}

/** Takes a token for this tab, or forgets it. */
export function setToken(token: string | null): void {
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
  generation += 1;
  cache.clear();
  for (const listen of listeners) listen();
}

/** Tells when the token is another one, or is refused. */
export function onTokenChange(listen: () => void): () => void {
  listeners.add(listen);
  return () => listeners.delete(listen);
}

let refused = false;
let generation = 0;

/** Whether the API said 401 to the token that is in use. */
export function isRefused(): boolean {
  return refused;
}

/** Forgets an earlier 401: something else is tried. */
export function retryAccess(): void {
  refused = false;
}

export type Query = Record<string, string | number | boolean | null | undefined>;

/** A new `idempotencyKey`; it also works where a page came over plain HTTP. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
}

/** One request; a refusal is thrown as an `ApiError`. */
export async function request<T>(
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  body?: unknown,
  options: {
    query?: Query;
    token?: string | null;
    signal?: AbortSignal;
    /** Whoever sends it again, with the same key, gets the first answer: nothing is done twice. */
    idempotencyKey?: string;
    /** Keeps the answer's numbers as they are written, for what is sent back. */
    exact?: boolean;
  } = {},
): Promise<T> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  const token = options.token === undefined ? tokenOfTab() : options.token;
  const mine = generation;
  let response: Response;
  let read = "";
  try {
    response = await fetch(text ? `${path}?${text}` : path, {
      method,
      headers: {
        Accept: "application/json",
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(options.idempotencyKey ? { "Idempotency-Key": options.idempotencyKey } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(options.signal ? { signal: options.signal } : {}),
      credentials: "same-origin",
    });
    // Here, as the network may fail in the middle of an answer, too.
    if (response.ok) read = await response.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw ApiError.network(error);
  }
  if (!response.ok) {
    const error = await ApiError.from(response);
    // API Gateway itself says 403, without a code of ours, where the authorizer knows no such token.
    const unknown = error.isUnauthorized || error.code === "forbidden";
    if (unknown && options.token === undefined && mine === generation && !refused) {
      refused = true;
      for (const listen of listeners) listen();
    }
    throw error;
  }
  try {
    return (options.exact ? exact(read) : JSON.parse(read)) as T;
  } catch {
    throw new Error("What came is no answer of the API: does something stand between?");
  }
}

const cache = new Map<string, Promise<unknown>>();

/** A `GET` whose answer holds for as long as the page does, such as the catalogue's. */
export function once<T>(path: string): Promise<T> {
  let found = cache.get(path);
  if (!found) {
    found = request<T>("GET", path).catch((error: unknown) => {
      cache.delete(path);
      throw error;
    });
    cache.set(path, found);
  }
  return found as Promise<T>;
}

/** What went wrong, as an `ApiError`, whatever was thrown. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError({
    type: "about:blank",
    title: "Something went wrong in this page",
    status: 0,
    detail: error instanceof Error ? error.message : String(error),
    code: "page_error",
  });
}
