/** One workflow: written, checked, tried without sending anything, run. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { request } from "../api";
import { useCatalogue } from "../catalogue";
import { Editor } from "../editor";
import { exact } from "../exact";
import { useAction, useLoad, useSettled, useTitle } from "../hooks";
import { breakOf, placesOf } from "../json-places";
import { go, to, usePlace, useUnsaved } from "../router";
import type { ExecutionSummary, Mistake, Page, Provider, Workflow } from "../types";
import {
  Act,
  Badge,
  Confirm,
  Copy,
  copy,
  Field,
  Head,
  Json,
  Note,
  Problem,
  Tabs,
  Time,
  toast,
  Waiting,
} from "../ui";
import { ExecutionTable } from "./executions";
import { PreviewPanel, RunPanel, useSample } from "./trial";
import { definitionOf, FLOWS, OnOff, pathOf, Ready, replace, unaltered } from "./workflows";

const BLANK = {
  name: "New workflow",
  trigger: { type: "manual" },
  steps: [
    {
      id: "send",
      action: "telegram.sendMessage",
      params: { chatId: 123456789, text: "Hello {{ trigger.name }}" },
    },
  ],
};

export default function WorkflowPage({ id }: { id: string }) {
  return id === "new" ? <NewWorkflow /> : <SavedWorkflow id={id} />;
}

function NewWorkflow() {
  useTitle("New workflow");
  const { query } = usePlace();
  const flow = FLOWS.find((each) => each.id === query.get("flow"))?.flow ?? BLANK;
  return (
    <>
      <Head title="New workflow" back={[to("workflows"), "Workflows"]} />
      <details>
        <summary>Begin with a ready flow</summary>
        <Ready eventId={query.get("eventId")} />
      </details>
      <NewText key={query.get("flow") ?? ""} start={written(flow)} />
    </>
  );
}

function NewText({ start }: { start: string }) {
  const [text, setText] = useState(start);
  useUnsaved(text === start ? undefined : text);
  const save = useAction(async () => {
    const created = await request<Workflow>("POST", "/api/workflows", unaltered(exact(text)));
    toast("Created");
    if (created.warning) warnings.set(created.workflowId, created.warning);
    go(to("workflows", created.workflowId), { replace: true, sure: true });
  });
  return (
    <Workbench text={text} change={setText} save={save} word="Create" changed>
      <Problem error={save.error} shown={() => true} />
    </Workbench>
  );
}

/** What was said of a workflow when it was created here, until its page has it. */
const warnings = new Map<string, string>();

function written(definition: object): string {
  return JSON.stringify(definition, null, 2);
}

function SavedWorkflow({ id }: { id: string }) {
  const found = useLoad(() => request<Workflow>("GET", pathOf(id), undefined, { exact: true }), id);
  useTitle(found.data?.name ?? "Workflow");
  if (found.data)
    return (
      <>
        <Problem error={found.error} retry={() => void found.reload()} />
        <Saved key={id} stored={found.data} store={(now) => found.put(() => now)} />
        <Runs id={id} />
      </>
    );
  return found.error ? (
    <Problem error={found.error} retry={() => void found.reload()} />
  ) : (
    <Waiting />
  );
}

/** A workflow, and its text, which is another one until it is saved. */
function Saved({ stored, store }: { stored: Workflow; store: (now: Workflow) => void }) {
  // What the text was begun from: somebody else's change may be stored by now.
  const [base, setBase] = useState(stored);
  const start = written(definitionOf(base));
  const [text, setText] = useState(start);
  const changed = text !== start;
  const latest = useRef(text);
  latest.current = text;
  const [warning, setWarning] = useState(() => {
    const told = warnings.get(stored.workflowId) ?? stored.warning;
    warnings.delete(stored.workflowId);
    return told;
  });
  useUnsaved(changed ? text : undefined);
  /** Begins with what is stored now; what is not `known` was typed meanwhile, and stays. */
  const begin = (now: Workflow, known: string, kept = (typed: string) => typed) => {
    store(now);
    setBase(now);
    setText(latest.current === known ? written(definitionOf(now)) : kept(latest.current));
  };
  useEffect(() => {
    if (!changed && stored.version !== base.version) begin(stored, start);
  });
  const save = useAction(async () => {
    const now = await replace(base, exact(text));
    setWarning(now.warning);
    toast("Saved");
    begin(now, text);
  });
  const load = async () => {
    const now = await request<Workflow>("GET", pathOf(base.workflowId), undefined, { exact: true });
    begin(now, latest.current);
    save.clear();
  };
  return (
    <>
      <Head
        title={stored.name}
        back={[to("workflows"), "Workflows"]}
        text={
          <>
            Version {stored.version}, changed <Time at={stored.updatedAt} />
          </>
        }
      >
        <span class="check">
          <OnOff
            workflow={stored}
            changed={(now, mine) => {
              // What is typed was begun from another version: it shall not take this one's place.
              if (!mine || stored.version !== base.version) store(now);
              else begin(now, start, (typed) => switched(typed, now.enabled));
            }}
          />{" "}
          On
        </span>
        <Confirm
          title={`Delete “${stored.name}”?`}
          text="Its executions stay; no event starts it any more."
          word="Delete"
          run={async () => {
            await request("DELETE", pathOf(base.workflowId));
            toast("Deleted");
            go(to("workflows"), { sure: true });
          }}
        >
          Delete
        </Confirm>
      </Head>
      {warning && (
        <Note tone="warn">
          <p>{warning}</p>
        </Note>
      )}
      {stored.webhookUrl && <Copy label="Webhook URL" value={stored.webhookUrl} />}
      <Workbench
        text={text}
        change={setText}
        undo={() => setText(start)}
        save={save}
        word="Save"
        changed={changed}
        workflow={stored}
      >
        {(changed && stored.version !== base.version) || save.error?.code === "version_conflict" ? (
          <Note tone="bad">
            <p>
              <strong>Somebody has changed it meanwhile.</strong> Your text is still here and is not
              saved. What is stored can be loaded in its place.
            </p>
            <div class="row">
              <Act run={() => copy(text)}>Copy your text</Act>
              <Act run={load}>Load what is stored</Act>
            </div>
          </Note>
        ) : (
          <Problem error={save.error} shown={() => true} />
        )}
      </Workbench>
    </>
  );
}

/** A definition's text, on or off, and otherwise as it was typed. */
function switched(text: string, enabled: boolean): string {
  const at = placesOf(text).values.get("enabled");
  if (at !== undefined)
    return text.slice(0, at) + text.slice(at).replace(/^(true|false)/, String(enabled));
  return enabled ? text : text.replace("{", '{\n  "enabled": false,');
}

function Runs({ id }: { id: string }) {
  const runs = useLoad(
    () =>
      request<Page<ExecutionSummary>>("GET", "/api/executions", undefined, {
        query: { workflowId: id, limit: 10 },
      }),
    id,
    5_000,
  );
  return (
    <section class="stack" aria-label="Last runs">
      <div class="row between">
        <h2>Last runs</h2>
        <a href={`${to("executions")}?workflowId=${encodeURIComponent(id)}`}>All</a>
      </div>
      <Problem error={runs.error} />
      {runs.data?.items.length === 0 && <p class="soft">It has not run yet.</p>}
      {runs.data && runs.data.items.length > 0 && <ExecutionTable items={runs.data.items} />}
    </section>
  );
}

function Workbench({
  text,
  change,
  undo,
  save,
  word,
  changed,
  workflow,
  children,
}: {
  text: string;
  change: (text: string) => void;
  undo?: () => void;
  save: ReturnType<typeof useAction<[]>>;
  word: string;
  changed: boolean;
  workflow?: Workflow;
  children: ComponentChildren;
}) {
  const [panel, setPanel] = useState("catalogue");
  const { query } = usePlace();
  // They stay while one looks at another panel.
  const tried = useSample(query.get("eventId") ?? "");
  const run = useSample("");
  const catalogue = useCatalogue();
  const providers = catalogue.data?.items ?? [];
  const settled = useSettled(text, 400);
  const check = useLoad(async () => {
    if (breakOf(settled)) return { valid: false, errors: [] as Mistake[] };
    return await request<{ valid: boolean; errors: Mistake[] }>(
      "POST",
      "/api/workflows/check",
      exact(settled),
    );
  }, settled);
  const broken = breakOf(text) !== null;
  const mistakes = save.error?.errors.length ? save.error.errors : (check.data?.errors ?? []);
  return (
    <div class="columns wide-first">
      <section class="stack" aria-label="Definition">
        <div class="row between">
          <div class="row">
            {broken ? (
              <Badge state="not JSON" />
            ) : check.data ? (
              <Badge state={check.data.valid ? "valid" : "error"} />
            ) : (
              <span class="soft small">{check.error ? "" : "Checking…"}</span>
            )}
          </div>
          <div class="row">
            {changed && undo && (
              <button type="button" onClick={undo}>
                Undo changes
              </button>
            )}
            <button
              type="button"
              class="primary"
              disabled={broken || save.busy || !changed}
              onClick={() => void save.run()}
            >
              {word}
            </button>
          </div>
        </div>
        <Editor
          text={text}
          change={(next) => {
            change(next);
            save.clear();
          }}
          mistakes={mistakes}
          catalogue={providers}
          label="The workflow's definition, as JSON"
        />
        {children}
        {check.error && <Problem error={check.error} retry={() => void check.reload()} />}
      </section>
      <section class="stack" aria-label="Beside the definition">
        <Tabs
          label="Beside the definition"
          now={panel}
          set={setPanel}
          of={[
            ["catalogue", "Catalogue"],
            ["preview", "Preview"],
            ["run", "Run"],
          ]}
        >
          {panel === "catalogue" &&
            (catalogue.data ? (
              <CataloguePanel providers={providers} text={text} change={change} />
            ) : catalogue.error ? (
              <Problem error={catalogue.error} retry={() => void catalogue.reload()} />
            ) : (
              <Waiting />
            ))}
          {panel === "preview" && <PreviewPanel text={text} broken={broken} sample={tried} />}
          {panel === "run" &&
            (workflow ? (
              <RunPanel workflow={workflow} unsaved={changed} sample={run} />
            ) : (
              <p class="soft">Create the workflow first.</p>
            ))}
        </Tabs>
      </section>
    </div>
  );
}

// -- the catalogue beside it -------------------------------------------------------------------

function CataloguePanel({
  providers,
  text,
  change,
}: {
  providers: Provider[];
  text: string;
  change: (text: string) => void;
}) {
  const [search, setSearch] = useState("");
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (...parts: string[]) =>
    words.every((word) => parts.join(" ").toLowerCase().includes(word));
  const triggers = providers
    .flatMap((each) => each.triggers)
    .filter((each) => fits(each.type, each.title));
  const actions = providers
    .flatMap((each) =>
      each.actions.map((action) => ({ ...action, full: `${each.id}.${action.name}` })),
    )
    .filter((each) => fits(each.full, each.title));
  const put = (edit: (definition: Record<string, unknown>) => void) => {
    try {
      const definition = exact(text) as Record<string, unknown>;
      edit(definition);
      change(JSON.stringify(definition, null, 2));
    } catch {
      toast("Mend the JSON first");
    }
  };
  return (
    <div class="stack">
      <Field label="Search triggers and actions">
        {(attributes) => (
          <input
            {...attributes}
            type="search"
            value={search}
            placeholder="send, row, comment…"
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        )}
      </Field>
      <div class="side-list">
        <h3>Triggers</h3>
        {triggers.slice(0, words.length ? 50 : 6).map((each) => (
          <details class="card" key={each.type}>
            <summary>
              {each.title} <code>{each.type}</code>
            </summary>
            <div class="stack">
              <Parameters schema={each.filters} />
              <Json value={each.example} label={`Example of ${each.type}`} />
              <div>
                <button
                  type="button"
                  onClick={() =>
                    put((definition) => {
                      definition.trigger = { type: each.type };
                    })
                  }
                >
                  Use as the trigger
                </button>
              </div>
            </div>
          </details>
        ))}
        <h3>Actions</h3>
        {actions.slice(0, words.length ? 50 : 10).map((each) => (
          <details class="card" key={each.full}>
            <summary>
              {each.title} <code>{each.full}</code>
            </summary>
            <div class="stack">
              <Parameters schema={each.params} />
              <div>
                <button
                  type="button"
                  onClick={() =>
                    put((definition) => {
                      const steps = Array.isArray(definition.steps) ? definition.steps : [];
                      const taken = new Set(steps.map((step: { id?: string }) => step.id));
                      const base = each.full.split(".")[1] ?? "step";
                      let id = base;
                      for (let n = 2; taken.has(id); n++) id = `${base}${n}`;
                      definition.steps = [
                        ...steps,
                        { id, action: each.full, params: each.example },
                      ];
                    })
                  }
                >
                  Add as a step
                </button>
              </div>
            </div>
          </details>
        ))}
        {!words.length && (
          <p class="soft small">
            Search for more: {actions.length} actions, {triggers.length} triggers.
          </p>
        )}
      </div>
    </div>
  );
}

function Parameters({ schema }: { schema: Provider["credentials"] }) {
  const names = Object.entries(schema.properties ?? {}).filter(([, each]) => !each.readOnly);
  const required = new Set(schema.required ?? []);
  if (!names.length) return <p class="soft">No parameters.</p>;
  return (
    <dl class="facts">
      {names.map(([name, each]) => (
        <>
          <dt>
            <code>{name}</code>
            {required.has(name) && " (required)"}
          </dt>
          <dd>{each.description ?? each.title}</dd>
        </>
      ))}
    </dl>
  );
}
