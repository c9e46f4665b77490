/** Where things stand in JSON text, also in text that is still being written. */

export interface Places {
  /** Path such as `steps.0.params` → offset of its value. */
  values: Map<string, number>;
  /** The path of the value or key that stands at `cursor`. */
  at: string;
  /** Whether the cursor is in a key rather than a value. */
  inKey: boolean;
  /** The string that the cursor is in: where it begins and ends, without its quotes. */
  token: { from: number; to: number; text: string } | null;
}

interface Level {
  kind: "object" | "array";
  path: string;
  key: string;
  index: number;
  expectsKey: boolean;
}

/** Scans text once; what is broken ends the scan of nothing but itself. */
export function placesOf(text: string, cursor = -1): Places {
  const values = new Map<string, number>();
  const stack: Level[] = [];
  let at = "";
  let inKey = false;
  let token: Places["token"] = null;
  const here = () => {
    const top = stack.at(-1);
    if (!top) return "";
    const name = top.kind === "array" ? String(top.index) : top.key;
    return top.path ? `${top.path}.${name}` : name;
  };
  const note = (offset: number) => {
    const path = here();
    if (!values.has(path)) values.set(path, offset);
  };
  for (let i = 0; i < text.length; i++) {
    const top = stack.at(-1);
    const char = text.charAt(i);
    if (i === cursor && !token) {
      at = top?.expectsKey ? top.path : here();
      inKey = top?.expectsKey ?? false;
    }
    if (char === '"') {
      const from = i + 1;
      i += 1;
      while (i < text.length && text[i] !== '"' && text[i] !== "\n") i += text[i] === "\\" ? 2 : 1;
      const to = Math.min(i, text.length);
      const piece = text.slice(from, to);
      const isKey = top?.kind === "object" && top.expectsKey;
      if (isKey) {
        top.key = piece;
        top.expectsKey = false;
      } else note(from - 1);
      if (cursor >= from && cursor <= to) {
        token = { from, to, text: piece };
        at = isKey ? top.path : here();
        inKey = isKey ?? false;
      }
    } else if (char === "{" || char === "[") {
      note(i);
      const path = here();
      stack.push({
        kind: char === "{" ? "object" : "array",
        path,
        key: "",
        index: 0,
        expectsKey: char === "{",
      });
    } else if (char === "}" || char === "]") {
      stack.pop();
    } else if (char === ",") {
      if (top?.kind === "array") top.index += 1;
      else if (top) {
        top.expectsKey = true;
        top.key = "";
      }
    } else if (/[-\dtfn]/.test(char) && top && !top.expectsKey) {
      note(i);
      while (i + 1 < text.length && /[\w.+-]/.test(text.charAt(i + 1))) i += 1;
    }
  }
  if (cursor >= text.length && !token) {
    const top = stack.at(-1);
    at = top?.expectsKey ? top.path : here();
    inKey = top?.expectsKey ?? false;
  }
  return { values, at, inKey, token };
}

/** Where a mistake's field stands: its own place, else that of what it would be in. */
export function offsetOf(places: Places, field: string): number {
  let path = field.replace(/\[(\d+)\]/g, ".$1").replace(/^\./, "");
  for (;;) {
    const found = places.values.get(path);
    if (found !== undefined) return found;
    const cut = path.lastIndexOf(".");
    if (cut < 0) return 0;
    path = path.slice(0, cut);
  }
}

export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let i = 0; i < offset && i < text.length; i++) if (text[i] === "\n") line += 1;
  return line;
}

/** Where a JSON text breaks. */
export function breakOf(text: string): { offset: number; message: string } | null {
  try {
    JSON.parse(text);
    return null;
  } catch {
    return {
      offset: endOfJson(text),
      message: "This is not JSON here: a comma, a quote or a bracket is missing or too many",
    };
  }
}

const SPACE = /[ \t\n\r]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;
const PLAIN = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Where a text stops being JSON: what a browser says of it has no place, or is not of all browsers. */
function endOfJson(text: string): number {
  const closers: string[] = [];
  let wanted: "value" | "key" | "colon" | "next" = "value";
  let mayEnd = false;
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.test(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  const takeString = () => {
    if (text.charAt(at) !== '"') return false;
    const from = at;
    at += 1;
    for (let char = text.charAt(at); char !== '"'; char = text.charAt(at)) {
      if (char >= " " && char !== "\\") at += 1;
      else if (!take(ESCAPE)) {
        at = from;
        return false;
      }
    }
    at += 1;
    return true;
  };
  for (;;) {
    take(SPACE);
    const char = text.charAt(at);
    const inside = closers.at(-1);
    if (!char) return text.trimEnd().length;
    if (char === inside && (mayEnd || wanted === "next")) {
      closers.pop();
      wanted = "next";
      at += 1;
    } else if (wanted === "next") {
      if (char !== "," || !inside) return at;
      wanted = inside === "}" ? "key" : "value";
      at += 1;
    } else if (wanted === "colon") {
      if (char !== ":") return at;
      wanted = "value";
      at += 1;
    } else if (wanted === "value" && (char === "{" || char === "[")) {
      closers.push(char === "{" ? "}" : "]");
      wanted = char === "{" ? "key" : "value";
      mayEnd = true;
      at += 1;
      continue;
    } else {
      if (!takeString() && (wanted === "key" || !take(PLAIN))) return at;
      wanted = wanted === "key" ? "colon" : "next";
    }
    mayEnd = false;
  }
}
