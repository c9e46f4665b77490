import { useRef } from "preact/hooks";
import { request } from "./api";
import { type Loaded, useLoad } from "./hooks";
import { go, to, usePlace } from "./router";
import type { Page } from "./types";

export interface List<T> extends Omit<Loaded<Page<T>>, "put"> {
  items: T[];
  /** Where the last page ended; nothing where there is no more. */
  token: string | null | undefined;
  /** Asks for the next page that has something. */
  load: () => Promise<void>;
  /** Puts what a change has answered in the place of its row. */
  change: (item: T) => void;
}

interface Rows<T> extends Page<T> {
  /** How many of the rows are of the first page. */
  first: number;
  /** From how many of the API's pages they are. */
  pages: number;
  /** When all of these were asked for. */
  at: number;
}

/** How many pages are asked for at once, where a filter finds nothing in them: 1,000 rows each. */
const PAGES = 20;
/** Up to so many pages are all asked for again by themselves, so often; more of them, less often. */
const FEW = 5;
const OFTEN = 60_000;

/**
 * One of the API's lists: its first page, loaded again every so many milliseconds, and the pages
 * behind it, when asked for. What has moved from one page to another is in it once, by its `id`.
 * The list is another one when `filter` changes; `query` is asked anew for each page.
 */
export function useList<T>(
  path: string,
  filter: Record<string, string>,
  id: (item: T) => string,
  every = 0,
  query: () => Record<string, string | undefined> = () => filter,
  options: { exact?: boolean } = {},
): List<T> {
  const ask = (nextToken?: string | null) =>
    request<Page<T>>("GET", path, undefined, {
      ...options,
      query: { ...query(), limit: 50, nextToken },
    });
  const key = `${path} ${JSON.stringify(filter)}`;
  const wanted = useRef(key);
  wanted.current = key;
  const shown = useRef<Rows<T>>(undefined);
  const list = useLoad<Rows<T>>(
    async (polled) => {
      const page = await ask();
      const now = shown.current;
      if (!now || now.pages === 1) return only(page);
      // As many requests in a minute, however many pages there are.
      const due = now.pages <= PAGES && Date.now() - now.at >= OFTEN * Math.max(1, now.pages / FEW);
      return !polled || due ? await again(now, page, ask, id) : joined(now, page, id);
    },
    key,
    every,
  );
  const { put, ...loaded } = list;
  shown.current = list.data;
  const token = list.data?.nextToken;
  return {
    ...loaded,
    items: list.data?.items ?? [],
    token,
    load: async () => {
      let page = await ask(token);
      let asked = 1;
      for (; asked < PAGES && !page.items.length && page.nextToken; asked++)
        page = await ask(page.nextToken);
      // Another list is shown meanwhile, and what follows in it may have the same token.
      if (wanted.current !== key) return;
      put((now) => {
        // A new first page has another end than the one behind which this was asked for.
        const rows = now && list.data && now.nextToken !== token ? joined(list.data, now, id) : now;
        // Where the list has begun anew, this is not what follows.
        if (!rows || rows.nextToken !== token) return now;
        const items = [...rows.items, ...without(rows.items, page.items, id)];
        return { ...rows, items, nextToken: page.nextToken, pages: rows.pages + asked };
      });
    },
    change: (item) =>
      put(
        (now) =>
          now && { ...now, items: now.items.map((each) => (id(each) === id(item) ? item : each)) },
      ),
  };
}

function only<T>(page: Page<T>): Rows<T> {
  return { ...page, first: page.items.length, pages: 1, at: Date.now() };
}

function without<T>(known: T[], items: T[], id: (item: T) => string): T[] {
  const ids = new Set(known.map(id));
  return items.filter((each) => !ids.has(id(each)));
}

/** The rows of a first page and of those behind it, as far as they went. */
async function again<T>(
  now: Rows<T>,
  first: Page<T>,
  ask: (token: string) => Promise<Page<T>>,
  id: (item: T) => string,
): Promise<Rows<T>> {
  const rows = only(first);
  while (rows.nextToken && rows.pages < PAGES && rows.items.length < now.items.length) {
    const page = await ask(rows.nextToken);
    rows.items = [...rows.items, ...without(rows.items, page.items, id)];
    rows.nextToken = page.nextToken;
    rows.pages += 1;
  }
  return rows;
}

/**
 * A new first page before the other rows. New ones have pushed its last ones out of it: these stay,
 * while what is missing further up is gone.
 */
function joined<T>(now: Rows<T>, page: Page<T>, id: (item: T) => string): Rows<T> {
  const ids = new Set(page.items.map(id));
  const known = now.items.map((each) => ids.has(id(each))).lastIndexOf(true);
  // More are new than a page holds: what is between it and the others is in neither.
  const apart = known < 0 && now.first > 0 && page.items.length > 0;
  if (!page.nextToken || apart) return only(page);
  const items = [...page.items, ...now.items.slice(known + 1)];
  return { ...now, items, first: page.items.length };
}

/** What a list is filtered by, as the page's address has it, and how to change it. */
export function useFilter<N extends string>(
  page: string,
  names: readonly N[],
): [Record<N, string>, (change: Partial<Record<N, string>>) => void] {
  const { query } = usePlace();
  const filter = Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""])) as Record<
    N,
    string
  >;
  const set = (change: Partial<Record<N, string>>) => {
    const next = new URLSearchParams();
    for (const [name, value] of Object.entries<string>({ ...filter, ...change }))
      if (value) next.set(name, value);
    go(`${to(page)}${next.size ? `?${next}` : ""}`, { replace: true });
  };
  return [filter, set];
}
