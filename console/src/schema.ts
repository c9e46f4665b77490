/** The catalogue's flat JSON Schemas, as forms need them: no references, what is optional is absent. */

export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  examples?: unknown[];
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  readOnly?: boolean;
  writeOnly?: boolean;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  discriminator?: { propertyName: string };
  [hint: `x-${string}`]: unknown;
}

/** How a field is shown. */
export type Kind =
  | "constant"
  | "choice"
  | "flag"
  | "flag-or-text"
  | "number"
  | "text"
  | "long-text"
  | "secret"
  | "long-secret"
  | "list"
  | "pairs"
  | "group"
  | "variants"
  | "json";

export interface Form {
  kind: Kind;
  schema: Schema;
  title: string;
  hint: string;
  placeholder: string;
  required: boolean;
  /** Of a choice. */
  options: unknown[];
  /** Of a group. */
  fields: [string, Form][];
  /** Of variants: the field that tells them apart, and each one's form. */
  tag: string;
  variants: [string, Form][];
  /** Text that looks like a whole number is sent as one: the API takes both. */
  numeric: boolean;
  /** Of pairs, and of a text in place of yes or no: whether it is a secret. */
  secretValues: boolean;
}

/** Reads a schema as a form. */
export function formOf(schema: Schema, name = "", required = true): Form {
  const { options, meta } = resolve(schema);
  const only = options[0] ?? {};
  const whole: Schema = options.length === 1 ? { ...only, ...meta } : { ...meta };
  const form: Form = {
    kind: "json",
    schema: whole,
    title: whole.title && !isMangled(whole.title, name) ? whole.title : sentence(name),
    hint: firstParagraph(whole.description ?? ""),
    placeholder: placeholderOf(whole),
    required,
    options: [],
    fields: [],
    tag: "",
    variants: [],
    numeric: false,
    secretValues: false,
  };
  if (options.length > 1) return ofOptions(form, options, schema);
  return ofOne(form, whole);
}

function ofOne(form: Form, schema: Schema): Form {
  if (schema.const !== undefined) return { ...form, kind: "constant" };
  if (schema.enum) return { ...form, kind: "choice", options: schema.enum };
  const secret = schema.format === "password" || schema.writeOnly === true;
  const long = schema["x-control"] === "multiline";
  switch (schema.type) {
    case "boolean":
      return { ...form, kind: "flag" };
    case "integer":
    case "number":
      return { ...form, kind: "number" };
    case "string":
      if (secret) return { ...form, kind: long ? "long-secret" : "secret" };
      return { ...form, kind: long || (schema.maxLength ?? 0) > 2100 ? "long-text" : "text" };
    case "array":
      return ofList(form, schema);
    case "object": {
      if (schema.properties && Object.keys(schema.properties).length) {
        const names = new Set(schema.required ?? []);
        const fields = Object.entries(schema.properties)
          .filter(([, each]) => each.readOnly !== true)
          .map(([name, each]): [string, Form] => [name, formOf(each, name, names.has(name))]);
        // What must be filled in stands first.
        fields.sort(([, a], [, b]) => Number(b.required) - Number(a.required));
        return { ...form, kind: "group", fields };
      }
      if (typeof schema.additionalProperties === "object") {
        const value = formOf(schema.additionalProperties);
        if (isPlain(value) || value.kind === "secret")
          return { ...form, kind: "pairs", secretValues: value.kind === "secret" };
      }
      return form;
    }
    default:
      return form;
  }
}

function ofOptions(form: Form, options: Schema[], schema: Schema): Form {
  const tag = schema.discriminator?.propertyName ?? tagOf(options);
  if (tag) {
    const variants = options.map((each): [string, Form] => [
      String(each.properties?.[tag]?.const ?? each.properties?.[tag]?.enum?.[0] ?? each.title),
      formOf(each),
    ]);
    return { ...form, kind: "variants", tag, variants };
  }
  const types = new Set(options.flatMap((each) => each.type ?? []));
  const secret = options.some((each) => each.format === "password" || each.writeOnly);
  if (types.has("string") && types.has("object"))
    return { ...form, kind: secret ? "long-secret" : "long-text" };
  if (types.size === 2 && types.has("boolean") && types.has("string"))
    return { ...form, kind: "flag-or-text", secretValues: secret };
  if (types.has("boolean") && types.has("string"))
    return { ...form, kind: secret ? "secret" : "text" };
  if (types.has("string") && schema["x-control"] === "multiline")
    return { ...form, kind: secret ? "long-secret" : "long-text" };
  if (types.has("string") && !types.has("array"))
    return { ...form, kind: secret ? "secret" : "text", numeric: types.has("integer") };
  const list = options.find((each) => each.type === "array");
  return list && !types.has("object") ? ofList(form, list) : form;
}

/** A list of lines; as JSON where an item may be more than a line, or the list something else. */
function ofList(form: Form, { items: schema }: Schema): Form {
  const items = schema && formOf(schema);
  const isMore = schema && resolve(schema).options.some((each) => each.type === "object");
  if (!items || isMore || !isPlain(items)) return form;
  return { ...form, kind: "list", numeric: items.numeric || items.kind === "number" };
}

/** What a schema may be, and what it says beside that. */
function resolve(schema: Schema): { options: Schema[]; meta: Schema } {
  const { anyOf, oneOf, ...own } = schema;
  const branches = anyOf ?? oneOf;
  if (branches) return { options: branches.flatMap((each) => resolve(each).options), meta: own };
  if (Array.isArray(own.type)) {
    const types = own.type.filter((each) => each !== "null");
    return {
      options: types.map((type) => ({ ...own, type })),
      meta: types.length === 1 ? {} : own,
    };
  }
  return { options: [own], meta: {} };
}

function isPlain(form: Form): boolean {
  return form.kind === "text" || form.kind === "number" || form.kind === "long-text";
}

function tagOf(options: Schema[]): string {
  const names = Object.keys(options[0]?.properties ?? {});
  return (
    names.find((name) =>
      options.every((each) => {
        const field = each.properties?.[name];
        return field?.const !== undefined || field?.enum?.length === 1;
      }),
    ) ?? ""
  );
}

/** Whether a title is only the name run together, as "Spreadsheetid" is. */
function isMangled(title: string, name: string): boolean {
  return (
    title.toLowerCase() === name.toLowerCase() && title !== sentence(name) && /[A-Z]/.test(name)
  );
}

/** `spreadsheetId` → `Spreadsheet id`. */
export function sentence(name: string): string {
  const words = name
    .replaceAll("_", " ")
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function firstParagraph(text: string): string {
  return (text.split("\n\n")[0] ?? "").replaceAll("``", "").replace(/\s+/g, " ").trim();
}

function placeholderOf(schema: Schema): string {
  const hint = schema["x-placeholder"] ?? schema.examples?.[0];
  if (hint === undefined || hint === null) return "";
  return typeof hint === "string" ? hint : JSON.stringify(hint);
}
