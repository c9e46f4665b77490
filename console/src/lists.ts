import { useState } from "preact/hooks";
import { request } from "./api";
import { type Loaded, useLoad } from "./hooks";
import { go, to, usePlace } from "./router";
import type { Page } from "./types";

export interface List<T> extends Loaded<Page<T>> {
  items: T[];
  /** Where the last page ended; nothing where there is no more. */
  token: string | null | undefined;
  /** Asks for the next page that has something. */
  load: () => Promise<void>;
}

/** How many pages are asked for at once, where a filter finds nothing in them: 1,000 rows each. */
const PAGES = 20;

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
): List<T> {
  const ask = (nextToken?: string | null) =>
    request<Page<T>>("GET", path, undefined, { query: { ...query(), limit: 50, nextToken } });
  const key = `${path} ${JSON.stringify(filter)}`;
  const list = useLoad(() => ask(), key, every);
  const [more, setMore] = useState<{ key: string } & Page<T>>();
  const extra = more?.key === key ? more : undefined;
  const first = list.data?.items ?? [];
  const seen = new Set(first.map(id));
  const token = extra ? extra.nextToken : list.data?.nextToken;
  return {
    ...list,
    items: [...first, ...(extra?.items ?? []).filter((each) => !seen.has(id(each)))],
    token,
    load: async () => {
      let page = await ask(token);
      for (let asked = 1; asked < PAGES && !page.items.length && page.nextToken; asked++)
        page = await ask(page.nextToken);
      setMore({ ...page, key, items: [...(extra?.items ?? []), ...page.items] });
    },
  };
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
