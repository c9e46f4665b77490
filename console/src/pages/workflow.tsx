/** One workflow: written, checked, tried without sending anything, run. */
import { useMemo, useState } from "preact/hooks";
import { request } from "../api";
import { useCatalogue } from "../catalogue";
import { Editor } from "../editor";
import { useAction, useLoad, useSettled, useTitle } from "../hooks";
import { breakOf } from "../json-places";
import { go, to, usePlace } from "../router";
import type {
  EventSummary,
  ExecutionSummary,
  Mistake,
  Page,
  Preview,
  Provider,
  Workflow,
} from "../types";
import {
  Badge,
  Confirm,
  Copy,
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
import { definitionOf, FLOWS, OnOff, Ready } from "./workflows";

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
        <Ready />
      </details>
      <Workbench key={query.get("flow") ?? ""} start={flow} />
    </>
  );
}

function SavedWorkflow({ id }: { id: string }) {
  const found = useLoad(
    () => request<Workflow>("GET", `/api/workflows/${encodeURIComponent(id)}`),
    id,
  );
  useTitle(found.data?.name ?? "Workflow");
  const workflow = found.data;
  if (!workflow)
    return found.error ? (
      <Problem error={found.error} retry={() => void found.reload()} />
    ) : (
      <Waiting />
    );
  return (
    <>
      <Head
        title={workflow.name}
        back={[to("workflows"), "Workflows"]}
        text={
          <>
            Version {workflow.version}, changed <Time at={workflow.updatedAt} />
          </>
        }
      >
        <span class="check">
          <OnOff workflow={workflow} changed={found.reload} /> On
        </span>
        <Confirm
          title={`Delete “${workflow.name}”?`}
          text="Its executions stay; no event starts it any more."
          word="Delete"
          run={async () => {
            await request("DELETE", `/api/workflows/${encodeURIComponent(id)}`);
            toast("Deleted");
            go(to("workflows"));
          }}
        >
          Delete
        </Confirm>
      </Head>
      {workflow.warning && (
        <Note tone="warn">
          <p>{workflow.warning}</p>
        </Note>
      )}
      {workflow.webhookUrl && <Copy label="Webhook URL" value={workflow.webhookUrl} />}
      <Workbench
        key={`${id} ${workflow.version}`}
        start={definitionOf(workflow)}
        workflow={workflow}
        saved={found.reload}
      />
      <Runs id={id} />
    </>
  );
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
  start,
  workflow,
  saved,
}: {
  start: object;
  workflow?: Workflow;
  saved?: () => Promise<void>;
}) {
  const [text, setText] = useState(() => JSON.stringify(start, null, 2));
  const [panel, setPanel] = useState("catalogue");
  const { query } = usePlace();
  const catalogue = useCatalogue();
  const providers = catalogue.data?.items ?? [];
  const settled = useSettled(text, 400);
  const check = useLoad(async () => {
    if (breakOf(settled)) return { valid: false, errors: [] as Mistake[] };
    return await request<{ valid: boolean; errors: Mistake[] }>(
      "POST",
      "/api/workflows/check",
      JSON.parse(settled),
    );
  }, settled);
  const save = useAction(async () => {
    const body = JSON.parse(text) as object;
    if (workflow) {
      await request("PUT", `/api/workflows/${encodeURIComponent(workflow.workflowId)}`, body);
      toast("Saved");
      await saved?.();
    } else {
      const created = await request<Workflow>("POST", "/api/workflows", body);
      toast("Created");
      go(to("workflows", created.workflowId), { replace: true });
    }
  });
  const broken = breakOf(text) !== null;
  const mistakes = save.error?.errors.length ? save.error.errors : (check.data?.errors ?? []);
  const changed = !workflow || text !== JSON.stringify(start, null, 2);
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
            {changed && workflow && (
              <button type="button" onClick={() => setText(JSON.stringify(start, null, 2))}>
                Undo changes
              </button>
            )}
            <button
              type="button"
              class="primary"
              disabled={broken || save.busy || !changed}
              onClick={() => void save.run()}
            >
              {workflow ? "Save" : "Create"}
            </button>
          </div>
        </div>
        <Editor
          text={text}
          change={(next) => {
            setText(next);
            save.clear();
          }}
          mistakes={mistakes}
          catalogue={providers}
          label="The workflow's definition, as JSON"
        />
        <Problem error={save.error} shown={() => true} />
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
          {panel === "catalogue" && (
            <CataloguePanel providers={providers} text={text} change={setText} />
          )}
          {panel === "preview" && (
            <PreviewPanel text={text} broken={broken} eventId={query.get("eventId") ?? ""} />
          )}
          {panel === "run" &&
            (workflow ? (
              <RunPanel workflow={workflow} unsaved={changed} />
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
      const definition = JSON.parse(text) as Record<string, unknown>;
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

// -- trying it ---------------------------------------------------------------------------------

function useSample(initialEvent: string) {
  const [eventId, setEventId] = useState(initialEvent);
  const [sample, setSample] = useState("{}");
  const events = useLoad(
    () => request<Page<EventSummary>>("GET", "/api/events", undefined, { query: { limit: 25 } }),
    "samples",
  );
  const broken = !eventId && breakOf(sample) !== null;
  const field = (
    <div class="stack">
      <Field label="Event" hint="A logged event, or one that you write.">
        {(attributes) => (
          <select
            {...attributes}
            value={eventId}
            onChange={(event) => setEventId(event.currentTarget.value)}
          >
            <option value="">write one</option>
            {eventId && !events.data?.items.some((each) => each.eventId === eventId) && (
              <option value={eventId}>{eventId}</option>
            )}
            {events.data?.items.map((each) => (
              <option key={each.eventId} value={each.eventId}>
                {[
                  each.types?.join(", ") || each.webhookId || each.provider,
                  new Date(each.receivedAt).toLocaleString(),
                ].join(" · ")}
              </option>
            ))}
          </select>
        )}
      </Field>
      {!eventId && (
        <Field
          label="Sample data"
          hint="What templates see as trigger."
          error={broken ? "This is not JSON" : undefined}
        >
          {(attributes) => (
            <textarea
              {...attributes}
              class="mono"
              rows={8}
              spellcheck={false}
              value={sample}
              onInput={(event) => setSample(event.currentTarget.value)}
            />
          )}
        </Field>
      )}
    </div>
  );
  return { field, broken, eventId, data: () => JSON.parse(sample) as unknown };
}

function PreviewPanel({
  text,
  broken,
  eventId,
}: {
  text: string;
  broken: boolean;
  eventId: string;
}) {
  const sample = useSample(eventId);
  const [preview, setPreview] = useState<Preview>();
  const run = useAction(async () => {
    setPreview(undefined);
    const source = sample.eventId
      ? { eventId: sample.eventId }
      : { event: { data: sample.data() } };
    setPreview(
      await request<Preview>("POST", "/api/workflows/preview", {
        definition: JSON.parse(text) as unknown,
        ...source,
      }),
    );
  });
  return (
    <div class="stack">
      <p class="soft">What each step would send. Nothing leaves.</p>
      {sample.field}
      <div>
        <button
          type="button"
          class="primary"
          disabled={broken || sample.broken || run.busy}
          onClick={() => void run.run()}
        >
          Show what would be sent
        </button>
      </div>
      <Problem error={run.error} />
      {preview && (
        <>
          {preview.matches ? (
            <Note tone="good">
              <p>The event starts the workflow.</p>
            </Note>
          ) : (
            <Note tone="warn">
              <p>The event does not start it{preview.reason ? `: ${preview.reason}` : "."}</p>
            </Note>
          )}
          <ol class="line">
            {preview.steps.map((step) => (
              <li key={step.id}>
                <span
                  class={`dot ${step.errors?.length ? "bad" : step.runs === false ? "" : "good"}`}
                />
                <div class="card stack">
                  <h3>
                    {step.id} <code>{step.action}</code>
                  </h3>
                  {step.runs === false && (
                    <p class="soft">It does not run{step.reason ? `: ${step.reason}` : "."}</p>
                  )}
                  {step.errors?.map((each) => (
                    <p class="error-text" key={each.field + each.message}>
                      <code>{each.field}</code>: {each.message}
                    </p>
                  ))}
                  {step.rounds
                    ? step.rounds.map((round) => (
                        <div class="stack tight" key={round.index}>
                          <span class="soft small">Round {round.index + 1}</span>
                          <Json
                            value={round.params}
                            label={`${step.id}, round ${round.index + 1}`}
                          />
                        </div>
                      ))
                    : step.params !== undefined &&
                      step.params !== null && (
                        <Json value={step.params} label={`What ${step.id} would send`} />
                      )}
                </div>
              </li>
            ))}
          </ol>
        </>
      )}
    </div>
  );
}

function RunPanel({ workflow, unsaved }: { workflow: Workflow; unsaved: boolean }) {
  const sample = useSample("");
  const run = useAction(async () => {
    if (sample.eventId) {
      await request("POST", `/api/events/${encodeURIComponent(sample.eventId)}/replay`, {
        workflowIds: [workflow.workflowId],
      });
      toast("The event is replayed for this workflow");
      return;
    }
    const started = await request<{ executionId: string }>(
      "POST",
      `/api/workflows/${encodeURIComponent(workflow.workflowId)}/run`,
      { input: sample.data() },
    );
    go(to("executions", started.executionId));
  });
  const name = useMemo(() => `Run “${workflow.name}” now`, [workflow.name]);
  return (
    <div class="stack">
      <p class="soft">
        This really sends.
        {unsaved && ` What you changed is not saved yet: version ${workflow.version} runs.`}
      </p>
      {sample.field}
      <div>
        <button
          type="button"
          class="primary"
          disabled={sample.broken || run.busy}
          onClick={() => void run.run()}
        >
          {name}
        </button>
      </div>
      <Problem error={run.error} />
    </div>
  );
}
