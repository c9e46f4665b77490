/** One action, tried: its form, what came back, and the same call for a program. */
import { useMemo, useRef, useState } from "preact/hooks";
import { request } from "../api";
import { useCatalogue } from "../catalogue";
import { rawOf } from "../exact";
import { messageAt, pathsOf, placeOf, SchemaForm, type Values } from "../form";
import { useAction, useLoad, useTitle } from "../hooks";
import { go, to, usePlace } from "../router";
import { useConnections } from "../statuses";
import type { ProviderStatus } from "../types";
import { Act, copy, Field, Head, Json, More, Note, Problem, Tabs, Waiting } from "../ui";

export default function Playground() {
  useTitle("Playground");
  const { query } = usePlace();
  const first = useRef("");
  const catalogue = useCatalogue();
  const statuses = useLoad(
    () => request<Record<string, ProviderStatus>>("GET", "/api/integrations/status"),
    "statuses",
  );
  if (catalogue.error)
    return <Problem error={catalogue.error} retry={() => void catalogue.reload()} />;
  const named = query.get("provider");
  // Which provider comes first is known with the statuses: a form shown before them would be
  // another one a moment later, and what was typed in it gone.
  if (!catalogue.data || (!named && !first.current && statuses.loading)) return <Waiting />;
  const providers = catalogue.data.items.filter((each) => each.actions.length);
  const connected = providers.find((each) => statuses.data?.[each.id]?.connections?.length);
  first.current ||= (connected ?? providers[0])?.id ?? "";
  const provider =
    providers.find((each) => each.id === named) ??
    providers.find((each) => each.id === first.current);
  const action =
    provider?.actions.find((each) => each.name === query.get("action")) ?? provider?.actions[0];
  if (!provider || !action) return null;
  const connections = statuses.data?.[provider.id]?.connections ?? [];
  const choose = (providerId: string, name?: string) =>
    go(
      `${to("playground")}?${new URLSearchParams({ provider: providerId, ...(name ? { action: name } : {}) })}`,
      {
        replace: true,
      },
    );
  return (
    <>
      <Head title="Playground" text="Run one action, and see how a program would." />
      <div class="filters wide">
        <Field label="Provider">
          {(attributes) => (
            <select
              {...attributes}
              value={provider.id}
              onChange={(event) => choose(event.currentTarget.value)}
            >
              {providers.map((each) => (
                <option key={each.id} value={each.id}>
                  {each.title}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Action">
          {(attributes) => (
            <select
              {...attributes}
              value={action.name}
              onChange={(event) => choose(provider.id, event.currentTarget.value)}
            >
              {provider.actions.map((each) => (
                <option key={each.name} value={each.name}>
                  {each.title} ({each.name})
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <Problem error={statuses.error} retry={() => void statuses.reload()} />
      {statuses.data && connections.length === 0 && (
        <Note tone="warn">
          <p>
            {provider.title} is not connected.{" "}
            <a href={to("connections", provider.id)}>Connect it first</a>.
          </p>
        </Note>
      )}
      <Call
        key={`${provider.id}.${action.name}`}
        provider={provider.id}
        action={action}
        status={statuses.data?.[provider.id]}
      />
    </>
  );
}

function Call({
  provider,
  action,
  status,
}: {
  provider: string;
  action: {
    name: string;
    params: Parameters<typeof SchemaForm>[0]["schema"];
    example: Record<string, unknown>;
  };
  status: ProviderStatus | undefined;
}) {
  const listed = useConnections(provider, status);
  const connections = listed.items.map((each) => each.connection);
  const [params, setParams] = useState<Values>({});
  const [filled, setFilled] = useState(0);
  const [chosen, setChosen] = useState("");
  const usual = connections.includes("default") ? "default" : (connections[0] ?? "default");
  const connection = chosen || usual;
  const [result, setResult] = useState<{ value: unknown }>();
  const [language, setLanguage] = useState("curl");
  const known = useMemo(() => pathsOf(action.params, "params"), [action]);
  const body = { params, ...(connection === "default" ? {} : { connection }) };
  const path = `/api/integrations/${provider}/actions/${action.name}`;
  const run = useAction(async () => {
    setResult(undefined);
    const answer = await request<{ result: unknown }>("POST", path, body, { exact: true });
    setResult({ value: answer.result });
  });
  const code = snippet(language, provider, action.name, path, body);
  return (
    <div class="columns">
      <section class="card stack" aria-label="Parameters">
        <div class="row between">
          <h2>Parameters</h2>
          <button
            type="button"
            class="plain"
            onClick={() => {
              setParams(action.example);
              setFilled(filled + 1);
            }}
          >
            Fill in the example
          </button>
        </div>
        {connections.some((each) => each !== "default") && (
          <Field label="Connection">
            {(attributes) => (
              <select
                {...attributes}
                value={connection}
                onChange={(event) => setChosen(event.currentTarget.value)}
              >
                {connections.map((each) => (
                  <option key={each}>{each}</option>
                ))}
              </select>
            )}
          </Field>
        )}
        <More token={listed.nextToken} load={listed.load} />
        <form
          class="stack"
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void run.run();
          }}
        >
          <SchemaForm
            key={filled}
            schema={action.params}
            path="params"
            fold
            value={params}
            change={setParams}
            errorAt={(at) => messageAt(at, run.error?.errors ?? [], known)}
          />
          <Problem error={run.error} shown={(field) => placeOf(field, known) !== undefined} />
          <div class="row">
            <button type="submit" class="primary" disabled={run.busy}>
              {run.busy ? "Running…" : "Run"}
            </button>
          </div>
        </form>
      </section>
      <section class="stack" aria-label="Result">
        {result && (
          <>
            <h2>Result</h2>
            <Json value={result.value} label="The action's result" />
          </>
        )}
        <h2>The same call</h2>
        <Tabs
          label="Language"
          now={language}
          set={setLanguage}
          of={[
            ["curl", "curl"],
            ["typescript", "TypeScript"],
            ["python", "Python"],
          ]}
        >
          <Json value={code} label={`The call in ${language}`} />
          <div>
            <Act run={() => copy(code)}>Copy</Act>
          </div>
        </Tabs>
      </section>
    </div>
  );
}

export function snippet(
  language: string,
  provider: string,
  action: string,
  path: string,
  body: Record<string, unknown>,
): string {
  const json = JSON.stringify(body, null, 2);
  switch (language) {
    case "typescript":
      return `import { createClient } from "@integrations-backend/client";

const client = createClient({ baseUrl: "${location.origin}", token: process.env.TOKEN });
const { data } = await client.POST("/api/integrations/{providerId}/actions/{action}", {
  params: { path: { providerId: "${provider}", action: "${action}" } },
  body: ${json.replaceAll("\n", "\n  ")},
});
console.log(data?.result);`;
    case "python":
      return `import os
import requests

answer = requests.post(
    "${location.origin}${path}",
    headers={"Authorization": f"Bearer {os.environ['TOKEN']}"},
    json=${python(body, 1)},
    timeout=30,
)
answer.raise_for_status()
print(answer.json()["result"])`;
    default:
      return `curl ${location.origin}${path} \\
  -H "Authorization: Bearer $TOKEN" \\
  -d '${json.replaceAll("'", "'\\''")}'`;
  }
}

/** A JSON value as Python writes it. */
function python(value: unknown, level: number): string {
  const pad = "    ".repeat(level);
  const deep = "    ".repeat(level + 1);
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  const raw = rawOf(value);
  if (raw !== undefined) return raw;
  if (Array.isArray(value))
    return value.length
      ? `[\n${value.map((each) => `${deep}${python(each, level + 1)},`).join("\n")}\n${pad}]`
      : "[]";
  if (typeof value === "object") {
    const entries = Object.entries(value);
    if (!entries.length) return "{}";
    return `{\n${entries.map(([key, each]) => `${deep}${JSON.stringify(key)}: ${python(each, level + 1)},`).join("\n")}\n${pad}}`;
  }
  return JSON.stringify(value);
}
