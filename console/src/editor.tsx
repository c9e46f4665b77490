/** A workflow as JSON: mistakes at their lines, and what could stand at the cursor. */
import { useMemo, useRef, useState } from "preact/hooks";
import { breakOf, lineOf, offsetOf, placesOf } from "./json-places";
import type { Mistake, Provider } from "./types";

export function Editor({
  text,
  change,
  mistakes,
  catalogue,
  label,
}: {
  text: string;
  change: (text: string) => void;
  mistakes: Mistake[];
  catalogue: Provider[];
  label: string;
}) {
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const [cursor, setCursor] = useState(0);
  const places = useMemo(() => placesOf(text), [text]);
  const broken = useMemo(() => breakOf(text), [text]);
  const marks = broken
    ? [{ field: "", message: broken.message, offset: broken.offset, suggestions: [] as string[] }]
    : mistakes.map((each) => ({
        ...each,
        suggestions: each.suggestions ?? [],
        offset: offsetOf(places, each.field),
      }));
  const lines = text.split("\n").length;
  const bad = new Set(marks.map((each) => lineOf(text, each.offset)));
  const suggestions = useMemo(() => suggest(text, cursor, catalogue), [text, cursor, catalogue]);
  const moved = () => setCursor(area.current?.selectionStart ?? 0);
  const goTo = (offset: number) => {
    const box = area.current;
    if (!box) return;
    box.focus();
    box.setSelectionRange(offset, offset);
    box.scrollTop = Math.max(0, (lineOf(text, offset) - 5) * 20);
    moved();
  };
  const put = (word: string) => {
    const { token } = placesOf(text, cursor);
    const from = token?.from ?? cursor;
    const to = token?.to ?? cursor;
    const inserted = token ? word : JSON.stringify(word);
    change(text.slice(0, from) + inserted + text.slice(to));
    const next = from + inserted.length + (token ? 1 : 0);
    requestAnimationFrame(() => goTo(next));
  };
  return (
    <div class="stack">
      <div class="editor">
        <div class="gutter" ref={gutter} aria-hidden="true">
          {Array.from({ length: lines }, (_, at) => (
            <div key={`line ${at + 1}`} class={bad.has(at + 1) ? "bad" : ""}>
              {at + 1}
            </div>
          ))}
        </div>
        <textarea
          ref={area}
          aria-label={label}
          aria-invalid={marks.length > 0 ? "true" : undefined}
          aria-describedby="mistakes"
          spellcheck={false}
          autocomplete="off"
          wrap="off"
          value={text}
          onInput={(event) => {
            change(event.currentTarget.value);
            moved();
          }}
          onKeyUp={moved}
          onClick={moved}
          onScroll={(event) => {
            if (gutter.current) gutter.current.scrollTop = event.currentTarget.scrollTop;
          }}
        />
      </div>
      {suggestions.length > 0 && (
        <section class="row" aria-label="Completions">
          <span class="soft small">Here could stand</span>
          {suggestions.map((word) => (
            <button type="button" class="plain mono" key={word} onClick={() => put(word)}>
              {word}
            </button>
          ))}
        </section>
      )}
      <div id="mistakes" aria-live="polite">
        {marks.length > 0 && (
          <ul class="mistakes">
            {marks.map((each) => (
              <li key={`${each.field} ${each.message}`}>
                <button type="button" onClick={() => goTo(each.offset)}>
                  <span class="error-text">Line {lineOf(text, each.offset)}</span>
                  {each.field && (
                    <>
                      {" "}
                      <code>{each.field}</code>
                    </>
                  )}
                  : {each.message}
                  {each.suggestions.length > 0 && ` Did you mean ${each.suggestions.join(" or ")}?`}
                </button>
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

const MOST = 8;
const TOP = ["name", "enabled", "trigger", "steps"];
const STEP = ["id", "action", "connection", "params", "when", "forEach", "retry", "onError"];
const TRIGGER = ["type", "connection", "webhookId", "filter", "oncePer"];
const PLAIN_TRIGGERS = ["manual", "schedule", "webhook"];

/** What could stand at the cursor: names of fields, actions, triggers and their parameters. */
export function suggest(text: string, cursor: number, catalogue: Provider[]): string[] {
  const { at, inKey, token } = placesOf(text, cursor);
  const typed = token?.text.toLowerCase() ?? "";
  const step = /^steps\.(\d+)/.exec(at)?.[1];
  let words: string[] = [];
  if (inKey) {
    if (at === "") words = TOP;
    else if (at === `steps.${step}`) words = STEP;
    else if (at === "trigger") words = [...TRIGGER, ...fieldsOfTrigger(text, catalogue)];
    else if (at === `steps.${step}.params`) words = fieldsOfAction(text, Number(step), catalogue);
  } else if (at === `steps.${step}.action` && token)
    words = catalogue.flatMap((each) => each.actions.map((action) => `${each.id}.${action.name}`));
  else if (at === "trigger.type" && token)
    words = [
      ...PLAIN_TRIGGERS,
      ...catalogue.flatMap((each) => each.triggers.map(({ type }) => type)),
    ];
  const unique = [...new Set(words)].filter(
    (word) => word.toLowerCase().includes(typed) && word !== token?.text,
  );
  // What begins so stands before what only contains it.
  unique.sort(
    (a, b) => Number(b.toLowerCase().startsWith(typed)) - Number(a.toLowerCase().startsWith(typed)),
  );
  return unique.slice(0, MOST);
}

function stringAt(text: string, path: string): string {
  const offset = placesOf(text).values.get(path);
  if (offset === undefined) return "";
  return /^"([^"\n]*)"/.exec(text.slice(offset))?.[1] ?? "";
}

function fieldsOfAction(text: string, step: number, catalogue: Provider[]): string[] {
  const [provider, action] = stringAt(text, `steps.${step}.action`).split(".");
  const form = catalogue
    .find((each) => each.id === provider)
    ?.actions.find((each) => each.name === action);
  return Object.keys(form?.params.properties ?? {});
}

function fieldsOfTrigger(text: string, catalogue: Provider[]): string[] {
  const type = stringAt(text, "trigger.type");
  const form = catalogue.flatMap((each) => each.triggers).find((each) => each.type === type);
  return Object.keys(form?.filters.properties ?? {});
}
