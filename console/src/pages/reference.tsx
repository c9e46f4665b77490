/** The API's own description, rendered. */
import { useState } from "preact/hooks";
import { once } from "../api";
import { useLoad } from "../hooks";
import type { Schema } from "../schema";
import { Field, Json, Problem, Waiting } from "../ui";

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
}
/** The document's own schemas refer to each other by name. */
type Named = Schema & { $ref?: string };
interface Media {
  schema?: Schema;
  examples?: Record<string, { value?: unknown }>;
  example?: unknown;
}
interface Operation {
  operationId?: string;
  summary?: string;
  description?: string;
  tags?: string[];
  security?: unknown[];
  parameters?: Parameter[];
  requestBody?: { content: Record<string, Media>; description?: string };
  responses: Record<
    string,
    { $ref?: string; description?: string; content?: Record<string, Media> }
  >;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  tags?: { name: string; description?: string }[];
  components?: {
    schemas?: Record<string, Schema>;
    responses?: Record<string, { description?: string }>;
  };
}

const METHODS = ["get", "post", "put", "patch", "delete"];

export function Reference() {
  const found = useLoad(() => once<Document>("/api/openapi.json"), "openapi");
  const [search, setSearch] = useState("");
  if (found.error) return <Problem error={found.error} retry={() => void found.reload()} />;
  if (!found.data) return <Waiting />;
  const document = found.data;
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const all = Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method];
      return operation ? [{ path, method, operation }] : [];
    }),
  );
  const shown = all.filter(({ path, method, operation }) => {
    const text =
      `${method} ${path} ${operation.summary ?? ""} ${operation.operationId ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const tags = [...new Set(all.map(({ operation }) => operation.tags?.[0] ?? "Other"))];
  return (
    <section class="stack" aria-label="API reference">
      <p class="soft">
        As{" "}
        <a href="/api/openapi.json" target="_blank" rel="noopener">
          OpenAPI
        </a>{" "}
        for tools.
      </p>
      <Field label="Search">
        {(attributes) => (
          <input
            {...attributes}
            type="search"
            value={search}
            placeholder="credentials, retry…"
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        )}
      </Field>
      {tags.map((tag) => {
        const group = shown.filter(({ operation }) => (operation.tags?.[0] ?? "Other") === tag);
        if (!group.length) return null;
        return (
          <div class="stack" key={tag}>
            <h2>{tag}</h2>
            {group.map(({ path, method, operation }) => (
              <details class="card" key={`${method} ${path}`}>
                <summary>
                  <code>
                    {method.toUpperCase()} {path}
                  </code>{" "}
                  {operation.summary}
                </summary>
                <OperationOf operation={operation} document={document} />
              </details>
            ))}
          </div>
        );
      })}
      {shown.length === 0 && <p class="soft">Nothing fits.</p>}
    </section>
  );
}

function OperationOf({ operation, document }: { operation: Operation; document: Document }) {
  const body = operation.requestBody?.content["application/json"];
  return (
    <div class="stack">
      {operation.description && <p>{operation.description}</p>}
      {operation.parameters && operation.parameters.length > 0 && (
        <>
          <h3>Parameters</h3>
          <dl class="facts">
            {operation.parameters.map((each) => (
              <>
                <dt>
                  <code>{each.name}</code> <span class="small">{each.in}</span>
                </dt>
                <dd>
                  {each.description} {each.required && <span class="soft">required</span>}
                </dd>
              </>
            ))}
          </dl>
        </>
      )}
      {body && (
        <>
          <h3>Body</h3>
          <Content media={body} document={document} label="Body" />
        </>
      )}
      <h3>Answers</h3>
      {Object.entries(operation.responses).map(([status, response]) => {
        const media = response.content?.["application/json"];
        const named = response.$ref?.split("/").at(-1) ?? "";
        const text = response.description ?? document.components?.responses?.[named]?.description;
        return (
          <div class="stack tight" key={status}>
            <p>
              <code>{status}</code> {text}
            </p>
            {media && <Content media={media} document={document} label={`Answer ${status}`} />}
          </div>
        );
      })}
    </div>
  );
}

function Content({ media, document, label }: { media: Media; document: Document; label: string }) {
  const example = media.example ?? Object.values(media.examples ?? {})[0]?.value;
  return (
    <>
      {example !== undefined && <Json value={example} label={`${label}: example`} />}
      {media.schema && <Fields schema={media.schema} document={document} />}
    </>
  );
}

function Fields({ schema, document }: { schema: Schema; document: Document }) {
  const whole = follow(schema, document);
  const names = Object.entries(whole.properties ?? {});
  if (!names.length) return null;
  const required = new Set(whole.required ?? []);
  return (
    <dl class="facts">
      {names.map(([name, each]) => (
        <>
          <dt>
            <code>{name}</code>
          </dt>
          <dd>
            <span class="soft">{typeOf(each, document)}</span>{" "}
            {required.has(name) ? "" : "(optional) "}
            {each.description ?? follow(each, document).description}
          </dd>
        </>
      ))}
    </dl>
  );
}

function follow(schema: Named, document: Document): Schema {
  const name = schema.$ref?.split("/").at(-1);
  const found = name ? document.components?.schemas?.[name] : undefined;
  if (found) return follow(found, document);
  const one = schema.anyOf?.filter((each) => each.type !== "null");
  return one?.length === 1 && one[0] ? follow(one[0], document) : schema;
}

function typeOf(schema: Named, document: Document): string {
  const name = schema.$ref?.split("/").at(-1);
  if (name) return name;
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.map((each) => typeOf(each, document)).join(" | ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `${schema.items ? typeOf(schema.items, document) : "any"}[]`;
  return [schema.type ?? "any"].flat().join(" | ");
}
