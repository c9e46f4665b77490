/** A form for one of the catalogue's schemas: plain fields, what the API refused beside each. */
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { exact, isExact, TOO_LARGE } from "./exact";
import { type Form, formOf, type Schema, sentence } from "./schema";
import { Field, Text } from "./ui";

export type Values = Record<string, unknown>;

interface Props<T> {
  form: Form;
  path: string;
  value: T;
  change: (value: T | undefined) => void;
  /** What the API says of a field, by its path in what was sent. */
  errorAt: (path: string) => string | undefined;
}

/**
 * The fields of an object's schema.
 *
 * `path` is where the object stands in what is sent. What few people need stands behind a line to
 * open; with `fold` all optional fields do where they are many.
 */
export function SchemaForm({
  schema,
  path,
  value,
  change,
  errorAt,
  fold,
}: {
  schema: Schema;
  fold?: boolean;
  path: string;
  value: Values;
  change: (value: Values) => void;
  errorAt: (path: string) => string | undefined;
}) {
  const form = formOf(schema);
  return (
    <Group
      form={form}
      path={path}
      value={value}
      change={(next) => change(next ?? {})}
      errorAt={errorAt}
      fold={fold ?? false}
    />
  );
}

/** The paths of a form's fields: their errors need no place of their own elsewhere. */
export function pathsOf(schema: Schema, path: string): Set<string> {
  const found = new Set<string>();
  const walk = (form: Form, at: string) => {
    found.add(at);
    for (const [name, inner] of form.fields) walk(inner, `${at}.${name}`);
    for (const [, inner] of form.variants) walk(inner, at);
  };
  const form = formOf(schema);
  for (const [name, inner] of form.fields) walk(inner, `${path}.${name}`);
  return found;
}

/**
 * What is wrong at a field: also what is wrong within it, such as `serviceAccount.client_email` at the
 * field into which the whole key file is pasted.
 */
export function messageAt(
  at: string,
  mistakes: readonly { field: string; message: string }[],
  known: Set<string>,
): string | undefined {
  const found = mistakes.find(({ field }) => field === at || placeOf(field, known) === at);
  const within = found?.field.slice(at.length).replace(/^\./, "");
  return within ? `${within}: ${found?.message}` : found?.message;
}

/** The field of a form where a mistake is shown; undefined where none is near. */
export function placeOf(field: string, known: Set<string>): string | undefined {
  let at = field;
  while (at && !known.has(at)) {
    at = at.slice(0, Math.max(at.lastIndexOf("."), at.lastIndexOf("["), 0));
  }
  return at || undefined;
}

const FEW = 6;

function Group({
  form,
  path,
  value,
  change,
  errorAt,
  fold = false,
}: Props<Values> & { fold?: boolean }) {
  const required = form.fields.filter(([, each]) => each.required);
  const optional = form.fields.filter(([, each]) => !each.required);
  const advanced = optional.filter(([, each]) => each.schema["x-advanced"] === true);
  const folded = fold && optional.length > FEW ? optional : advanced;
  const one = ([name, inner]: [string, Form]) => (
    <AnyField
      key={name}
      form={inner}
      path={`${path}.${name}`}
      value={value[name]}
      change={(next) => {
        const { [name]: _, ...rest } = value;
        change(next === undefined ? rest : { ...rest, [name]: next });
      }}
      errorAt={errorAt}
    />
  );
  const filled = folded.some(([name]) => errorAt(`${path}.${name}`) || value[name] !== undefined);
  const more = useRef<HTMLDetailsElement>(null);
  // Opened for what is in it, and never closed under somebody who empties a field of it.
  useLayoutEffect(() => {
    if (filled && more.current) more.current.open = true;
  }, [filled]);
  return (
    <div class="stack">
      {required.map(one)}
      {optional.filter((each) => !folded.includes(each)).map(one)}
      {folded.length > 0 && (
        <details ref={more}>
          <summary>
            {folded.length} more {folded.length === 1 ? "field" : "fields"}, all optional
          </summary>
          <div class="stack">{folded.map(one)}</div>
        </details>
      )}
    </div>
  );
}

function AnyField(props: Props<unknown>) {
  const { form, path, value, change, errorAt } = props;
  const error = errorAt(path);
  switch (form.kind) {
    case "constant":
      return null;
    case "flag":
      return <Flag {...props} />;
    case "flag-or-text":
      return <FlagOrText {...props} />;
    case "group":
      return (
        <fieldset>
          <legend>
            {form.title} {!form.required && <span class="optional">optional</span>}
          </legend>
          {error && <span class="error-text">{error}</span>}
          <Group
            form={form}
            path={path}
            value={(value as Values | undefined) ?? {}}
            change={(next) => change(next && Object.keys(next).length ? next : undefined)}
            errorAt={errorAt}
          />
        </fieldset>
      );
    case "variants":
      return <Variants {...props} />;
    case "pairs":
      return <Pairs {...props} />;
    case "secret":
    case "long-secret":
      return <Secret {...props} />;
    case "choice":
      return (
        <Field label={form.title} hint={form.hint} error={error} optional={!form.required}>
          {(attributes) => (
            <select
              {...attributes}
              value={value === undefined ? "" : String(value)}
              onChange={(event) => {
                const chosen = event.currentTarget.value;
                change(
                  chosen === "" ? undefined : form.options.find((each) => String(each) === chosen),
                );
              }}
            >
              <option value="">{form.required ? "Choose…" : "–"}</option>
              {form.options.map((each) => (
                <option key={String(each)} value={String(each)}>
                  {sentence(String(each))}
                </option>
              ))}
            </select>
          )}
        </Field>
      );
    case "number":
      return <NumberField {...props} />;
    case "list":
      return <List {...props} />;
    case "json":
      return <JsonField {...props} />;
    default:
      return (
        <Field label={form.title} hint={form.hint} error={error} optional={!form.required}>
          {(attributes) => {
            const shared = {
              ...attributes,
              value: value === undefined ? "" : String(value),
              placeholder: form.placeholder || shownDefault(form),
              autocomplete: "off",
              spellcheck: form.kind === "long-text",
            };
            return form.kind === "long-text" ? (
              <textarea
                {...shared}
                onInput={(event) => change(text(event.currentTarget.value, form))}
              />
            ) : (
              <input
                {...shared}
                onInput={(event) => change(text(event.currentTarget.value, form))}
              />
            );
          }}
        </Field>
      );
  }
}

function Flag({ form, path, value, change, errorAt }: Props<unknown>) {
  const id = useId();
  const standard = form.schema.default === true;
  const error = errorAt(path);
  return (
    <div class="field">
      <div class="check">
        <input
          id={id}
          type="checkbox"
          checked={value === undefined ? standard : value === true}
          {...(error ? { "aria-invalid": "true" } : {})}
          aria-describedby={[error && `${id}-error`, form.hint && `${id}-hint`]
            .filter(Boolean)
            .join(" ")}
          onChange={(event) => {
            const checked = event.currentTarget.checked;
            change(checked === standard && !form.required ? undefined : checked);
          }}
        />
        <label for={id}>{form.title}</label>
      </div>
      {error && (
        <span class="error" id={`${id}-error`}>
          {error}
        </span>
      )}
      {form.hint && (
        <span class="hint" id={`${id}-hint`}>
          <Text of={form.hint} />
        </span>
      )}
    </div>
  );
}

/** Nothing, no, yes, or a text: `true` that is typed would be sent as a text. */
function FlagOrText(props: Props<unknown>) {
  const { form, path, value, change, errorAt } = props;
  const [own, setOwn] = useState(typeof value === "string");
  const standard = form.schema.default;
  const flag = value ?? standard;
  // Where nothing is chosen, the API decides by the other fields: "no" would say too much.
  const now = own ? "text" : typeof flag === "boolean" ? (flag ? "yes" : "no") : "";
  return (
    <div class="stack">
      <Field
        label={form.title}
        hint={form.hint}
        error={own ? undefined : errorAt(path)}
        optional={!form.required}
      >
        {(attributes) => (
          <select
            {...attributes}
            value={now}
            onChange={(event) => {
              const next = event.currentTarget.value;
              setOwn(next === "text");
              const chosen = { yes: true, no: false }[next];
              change(chosen === standard ? undefined : chosen);
            }}
          >
            {typeof standard !== "boolean" && <option value="">–</option>}
            <option value="no">No</option>
            <option value="yes">Yes</option>
            <option value="text">
              {form.secretValues ? "With this secret" : "With this text"}
            </option>
          </select>
        )}
      </Field>
      {own && (
        <Field label={`${form.title}: the text`} error={errorAt(path)}>
          {(attributes) => (
            <input
              {...attributes}
              class="mono"
              {...concealed(form.secretValues)}
              value={typeof value === "string" ? value : ""}
              onInput={(event) => change(event.currentTarget.value || undefined)}
            />
          )}
        </Field>
      )}
    </div>
  );
}

function Secret({ form, path, value, change, errorAt }: Props<unknown>) {
  const [seen, setSeen] = useState(false);
  return (
    <Field label={form.title} hint={form.hint} error={errorAt(path)} optional={!form.required}>
      {(attributes) => {
        const shared = {
          ...attributes,
          class: "mono",
          value: value === undefined ? "" : String(value),
          placeholder: form.placeholder,
          // A vault's secret is no password of this site: browsers shall not offer to keep it.
          autocomplete: "off",
          "data-1p-ignore": true,
          "data-lpignore": "true",
          spellcheck: false,
        };
        return form.kind === "long-secret" ? (
          <textarea
            {...shared}
            rows={6}
            onInput={(event) => change(event.currentTarget.value || undefined)}
          />
        ) : (
          <div class="with-button">
            <input
              {...shared}
              {...concealed(!seen)}
              onInput={(event) => change(event.currentTarget.value || undefined)}
            />
            <button
              type="button"
              aria-pressed={seen}
              aria-label={`Show ${form.title}`}
              onClick={() => setSeen(!seen)}
            >
              {seen ? "Hide" : "Show"}
            </button>
          </div>
        );
      }}
    </Field>
  );
}

/** A number as it is typed: "10.0" is on its way to "10.05", and would be lost as the number 10. */
function NumberField({ form, path, value, change, errorAt }: Props<unknown>) {
  const [typed, setTyped] = useState("");
  return (
    <Field label={form.title} hint={form.hint} error={errorAt(path)} optional={!form.required}>
      {(attributes) => (
        <input
          {...attributes}
          inputMode="decimal"
          value={number(typed) === value ? typed : String(value ?? "")}
          placeholder={form.placeholder || shownDefault(form)}
          onInput={(event) => {
            setTyped(event.currentTarget.value);
            change(number(event.currentTarget.value));
          }}
        />
      )}
    </Field>
  );
}

function List({ form, path, value, change, errorAt }: Props<unknown>) {
  const [typed, setTyped] = useState(Array.isArray(value) ? value.join("\n") : String(value ?? ""));
  return (
    <Field
      label={form.title}
      hint={sentences(form.hint, "One a line.")}
      error={errorAt(path)}
      optional={!form.required}
    >
      {(attributes) => (
        <textarea
          {...attributes}
          rows={3}
          value={typed}
          placeholder={form.placeholder}
          onInput={(event) => {
            setTyped(event.currentTarget.value);
            const lines = event.currentTarget.value
              .split("\n")
              .map((each) => each.trim())
              .filter(Boolean);
            change(
              lines.length ? lines.map((each) => (form.numeric ? number(each) : each)) : undefined,
            );
          }}
        />
      )}
    </Field>
  );
}

function JsonField({ form, path, value, change, errorAt }: Props<unknown>) {
  const [typed, setTyped] = useState(value === undefined ? "" : JSON.stringify(value, null, 2));
  const [broken, setBroken] = useState("");
  return (
    <Field
      label={form.title}
      hint={sentences(form.hint, "As JSON.")}
      error={broken || errorAt(path)}
      optional={!form.required}
    >
      {(attributes) => (
        <textarea
          {...attributes}
          class="mono"
          spellcheck={false}
          rows={4}
          value={typed}
          placeholder={form.placeholder}
          onInput={(event) => {
            const now = event.currentTarget.value;
            setTyped(now);
            try {
              const given = now.trim() ? exact(now) : undefined;
              change(given);
              setBroken(isExact(given) ? "" : TOO_LARGE);
            } catch {
              // Sent as the text that it is, so that nobody takes an older value for it.
              change(now);
              setBroken(
                form.schema.type === "object" || form.schema.type === "array"
                  ? "This is not JSON yet"
                  : "",
              );
            }
          }}
        />
      )}
    </Field>
  );
}

function Variants({ form, path, value, change, errorAt }: Props<unknown>) {
  const now = (value as Values | undefined)?.[form.tag];
  const chosen = form.variants.find(([name]) => name === now);
  return (
    <fieldset>
      <legend>
        {form.title} {!form.required && <span class="optional">optional</span>}
      </legend>
      {form.hint && (
        <span class="soft small">
          <Text of={form.hint} />
        </span>
      )}
      <Field label={sentence(form.tag)} error={errorAt(path) ?? errorAt(`${path}.${form.tag}`)}>
        {(attributes) => (
          <select
            {...attributes}
            value={now === undefined ? "" : String(now)}
            onChange={(event) => {
              const next = event.currentTarget.value;
              change(next ? { [form.tag]: next } : undefined);
            }}
          >
            <option value="">{form.required ? "Choose…" : "–"}</option>
            {form.variants.map(([name, each]) => (
              <option key={name} value={name}>
                {each.schema.title && !/^[A-Z][a-z]+[A-Z]/.test(each.schema.title)
                  ? each.schema.title
                  : name}
              </option>
            ))}
          </select>
        )}
      </Field>
      {chosen && (
        <Group
          form={{ ...chosen[1], fields: chosen[1].fields.filter(([name]) => name !== form.tag) }}
          path={path}
          value={value as Values}
          change={(next) => change({ ...next, [form.tag]: chosen[0] })}
          errorAt={errorAt}
        />
      )}
    </fieldset>
  );
}

function Pairs({ form, path, value, change, errorAt }: Props<unknown>) {
  const start = Object.entries((value as Values | undefined) ?? {}).map(
    ([k, v]) => [k, String(v)] as const,
  );
  const [rows, setRows] = useState<(readonly [string, string])[]>(start);
  const id = useRef(0);
  const set = (next: (readonly [string, string])[]) => {
    setRows(next);
    const filled = next.filter(([name]) => name.trim());
    change(filled.length ? Object.fromEntries(filled.map(([k, v]) => [k.trim(), v])) : undefined);
  };
  const error = errorAt(path) ?? rows.map(([name]) => errorAt(`${path}.${name}`)).find(Boolean);
  id.current = rows.length;
  return (
    <fieldset>
      <legend>
        {form.title} {!form.required && <span class="optional">optional</span>}
      </legend>
      {form.hint && (
        <span class="soft small">
          <Text of={form.hint} />
        </span>
      )}
      {error && <span class="error-text">{error}</span>}
      {rows.map(([name, value], at) => (
        <div class="row" key={at}>
          <input
            class="mono pair-name"
            aria-label={`${form.title}: name ${at + 1}`}
            placeholder="Name"
            value={name}
            onInput={(event) =>
              set(rows.map((row, n) => (n === at ? [event.currentTarget.value, row[1]] : row)))
            }
          />
          <input
            class="mono"
            {...concealed(form.secretValues)}
            aria-label={`${form.title}: value ${at + 1}`}
            placeholder="Value"
            value={value}
            onInput={(event) =>
              set(rows.map((row, n) => (n === at ? [row[0], event.currentTarget.value] : row)))
            }
          />
          <button
            type="button"
            class="plain"
            aria-label={`Remove ${name || `row ${at + 1}`}`}
            onClick={() => set(rows.filter((_, n) => n !== at))}
          >
            Remove
          </button>
        </div>
      ))}
      <div>
        <button type="button" onClick={() => setRows([...rows, ["", ""]])}>
          Add {form.title.toLowerCase().replace(/s$/, "")}
        </button>
      </div>
    </fieldset>
  );
}

function shownDefault(form: Form): string {
  const standard = form.schema.default;
  return standard === undefined || standard === null || typeof standard === "object"
    ? ""
    : String(standard);
}

function number(typed: string): unknown {
  const trimmed = typed.trim();
  if (!trimmed) return undefined;
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(trimmed) &&
    Number.isSafeInteger(Math.trunc(Number(trimmed)))
    ? Number(trimmed)
    : trimmed;
}

function text(typed: string, form: Form): unknown {
  if (!typed) return undefined;
  // "0049" is no number: as one it would lose its zeros.
  return form.numeric && /^-?\d{1,15}$/.test(typed) && String(Number(typed)) === typed
    ? Number(typed)
    : typed;
}

/** Whether a field's text is shown while it is typed. */
function concealed(hidden: boolean): { type: "password"; autocomplete: string } | { type: "text" } {
  return hidden ? { type: "password", autocomplete: "new-password" } : { type: "text" };
}

function sentences(first: string, second: string): string {
  return first ? `${first}${/[.!?]$/.test(first) ? "" : "."} ${second}` : second;
}
