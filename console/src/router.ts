/** Which place of the console is shown: the path, without a library. */
import { useEffect, useLayoutEffect, useState } from "preact/hooks";

const CHANGE = "integrations:place";

export interface Place {
  /** What stands behind `/console/`, in parts; empty for the first page. */
  parts: string[];
  query: URLSearchParams;
}

export function place(): Place {
  const path = location.pathname.replace(/^\/console\/?/, "").replace(/^\//, "");
  return { parts: partsOf(path), query: new URLSearchParams(location.search) };
}

function partsOf(path: string): string[] {
  try {
    return path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    // A "%" that stands for nothing: no page has such a name.
    return [path];
  }
}

/** The address of a place, for links. */
export function to(...parts: string[]): string {
  return parts.length ? `/console/${parts.map(encodeURIComponent).join("/")}` : "/";
}

/** Goes to a place, unless it is asked and answered that what is typed here is worth more. */
export function go(path: string, { replace = false, sure = false } = {}): boolean {
  if (!sure && path !== here && !mayLeave()) return false;
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  moved();
  return true;
}

let here = location.pathname + location.search;

function moved(): void {
  here = location.pathname + location.search;
  dispatchEvent(new Event(CHANGE));
}

addEventListener("popstate", () => {
  // The address has changed already: who stays gets it back.
  if (location.pathname + location.search !== here && !mayLeave())
    history.pushState(null, "", here);
  else moved();
});

const unsaved = new Map<object, string>();

/** Has somebody asked before this text is left behind; undefined where nothing would be lost. */
export function useUnsaved(text: string | undefined): void {
  useLayoutEffect(() => {
    if (text === undefined) return;
    const mine = {};
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    unsaved.set(mine, text);
    addEventListener("beforeunload", ask);
    return () => {
      unsaved.delete(mine);
      removeEventListener("beforeunload", ask);
    };
  }, [text]);
}

/** The text that would be lost now. It is in no storage: a secret may be in it. */
export function unsavedText(): string | undefined {
  return [...unsaved.values()][0];
}

/** Whether the page may be left: asked where something would be lost. */
export function mayLeave(): boolean {
  return !unsaved.size || confirm("What stands here is not saved. Leave it behind?");
}

/** The place, and again whenever it changes. */
export function usePlace(): Place {
  const [now, set] = useState(place);
  useEffect(() => {
    const change = () => set(place());
    addEventListener(CHANGE, change);
    return () => removeEventListener(CHANGE, change);
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
    if (!go(url.pathname + url.search)) return;
    scrollTo(0, 0);
    document.querySelector<HTMLElement>("main")?.focus();
  });
}
