/** Which place of the console is shown: the path, without a library. */
import { useEffect, useState } from "preact/hooks";

const CHANGE = "integrations:place";

export interface Place {
  /** What stands behind `/console/`, in parts; empty for the first page. */
  parts: string[];
  query: URLSearchParams;
}

export function place(): Place {
  const path = location.pathname.replace(/^\/console\/?/, "").replace(/^\//, "");
  return {
    parts: path.split("/").filter(Boolean).map(decodeURIComponent),
    query: new URLSearchParams(location.search),
  };
}

/** The address of a place, for links. */
export function to(...parts: string[]): string {
  return parts.length ? `/console/${parts.map(encodeURIComponent).join("/")}` : "/";
}

export function go(path: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  dispatchEvent(new Event(CHANGE));
}

/** The place, and again whenever it changes. */
export function usePlace(): Place {
  const [now, set] = useState(place);
  useEffect(() => {
    const change = () => set(place());
    addEventListener("popstate", change);
    addEventListener(CHANGE, change);
    return () => {
      removeEventListener("popstate", change);
      removeEventListener(CHANGE, change);
    };
  }, []);
  return now;
}

/** Lets links within the console change the place instead of loading the page anew. */
export function catchLinks(root: HTMLElement): void {
  root.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey)
      return;
    const link = (event.target as Element).closest("a");
    if (!link || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || url.hash) return;
    if (url.pathname !== "/" && !url.pathname.startsWith("/console")) return;
    event.preventDefault();
    go(url.pathname + url.search);
    scrollTo(0, 0);
    document.querySelector<HTMLElement>("main")?.focus();
  });
}
