/** JSON whose numbers stay as they are written: a double keeps no whole number above 2^53. */

const raw = (JSON as { rawJSON?: (text: string) => unknown }).rawJSON;

/**
 * Reads a text so that `JSON.stringify` writes its numbers as they were.
 *
 * Where the browser cannot, they are what it makes of them; see `isExact`.
 */
export function exact(text: string): unknown {
  if (!raw) return JSON.parse(text);
  const keep = (_: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && context?.source && context.source !== String(value)
      ? raw(context.source)
      : value;
  return JSON.parse(text, keep);
}

/** The text of a number that is kept as it was written; undefined for all else. */
export function rawOf(value: unknown): string | undefined {
  const { isRawJSON } = JSON as { isRawJSON?: (value: unknown) => value is { rawJSON: string } };
  return isRawJSON?.(value) ? value.rawJSON : undefined;
}

export const TOO_LARGE =
  "A number in it is too large for this browser: it would become another one";

/** Whether no number in what was read can have become another one. */
export function isExact(value: unknown): boolean {
  if (raw) return true;
  if (typeof value === "number") return !Number.isInteger(value) || Number.isSafeInteger(value);
  return value === null || typeof value !== "object" || Object.values(value).every(isExact);
}
