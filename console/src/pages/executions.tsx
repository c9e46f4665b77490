/** What ran: found by state, workflow and time; each step with what went in and came out. */
import { useState } from "preact/hooks";
import { request } from "../api";
import { exact } from "../exact";
import { useLoad, useTitle } from "../hooks";
import { JobLine } from "../jobs";
import { useFilter, useList } from "../lists";
import { Replay } from "../replay";
import { go, to } from "../router";
import type { Execution, ExecutionSummary, Job, Page, Step, StepOutput, Workflow } from "../types";
import {
  Act,
  Badge,
  between,
  Confirm,
  duration,
  Empty,
  Facts,
  Field,
  Head,
  Json,
  More,
  Note,
  Problem,
  Time,
  toast,
  toneOf,
  Waiting,
} from "../ui";

const STATES = ["queued", "running", "retrying", "succeeded", "failed", "cancelled"];
const SPANS: [string, string, number][] = [
  ["hour", "last hour", 3_600_000],
  ["day", "last day", 86_400_000],
  ["week", "last 7 days", 7 * 86_400_000],
];

/** How many pages of workflows the filter offers at most. */
const WORKFLOW_PAGES = 20;

function useWorkflows() {
  return useLoad(async () => {
    const items: Workflow[] = [];
    let nextToken: string | null | undefined;
    for (let page = 0; page < WORKFLOW_PAGES && nextToken !== null; page++) {
      const query = { limit: 100, nextToken };
      const found = await request<Page<Workflow>>("GET", "/api/workflows", undefined, { query });
      items.push(...found.items);
      nextToken = found.nextToken ?? null;
    }
    return items;
  }, "workflows");
}

/** The moment that a span such as "day" began, to the minute so that pages stay the same. */
export function since(span: string | null, now = new Date()): string | undefined {
  const size = SPANS.find(([name]) => name === span)?.[2];
  if (!size) return undefined;
  return new Date(Math.floor((now.getTime() - size) / 60_000) * 60_000).toISOString();
}

export function SpanField({ value, set }: { value: string; set: (value: string) => void }) {
  return (
    <Field label="Time">
      {(attributes) => (
        <select {...attributes} value={value} onChange={(e) => set(e.currentTarget.value)}>
          <option value="">any time</option>
          {SPANS.map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function Executions() {
  useTitle("Executions");
  const [filter, set] = useFilter("executions", ["status", "workflowId", "span"]);
  const { span, ...rest } = filter;
  const list = useList<ExecutionSummary>(
    "/api/executions",
    filter,
    (each) => each.executionId,
    5_000,
    () => ({ ...rest, since: since(span) }),
  );
  const { items } = list;
  const workflows = useWorkflows();
  const [job, setJob] = useState<Job>();
  return (
    <>
      <Head title="Executions" text="Each run of a workflow, newest first.">
        <Confirm
          class=""
          title="Retry all failed executions?"
          text={`Those ${filter.workflowId ? "of the chosen workflow " : ""}${
            filter.span ? "in the chosen time " : ""
          }go on at the step that failed; what succeeded is not done again.`}
          word="Retry them"
          run={async (idempotencyKey, asked) => {
            const from = since(filter.span, asked);
            const chosen = {
              ...(filter.workflowId ? { workflowId: filter.workflowId } : {}),
              ...(from ? { since: from } : {}),
            };
            const body = { filter: chosen };
            setJob(await request<Job>("POST", "/api/executions/retry", body, { idempotencyKey }));
          }}
        >
          Retry all failed
        </Confirm>
      </Head>
      {job && <JobLine job={job} />}
      <div class="filters">
        <Field label="State">
          {(attributes) => (
            <select
              {...attributes}
              value={filter.status}
              onChange={(e) => set({ status: e.currentTarget.value })}
            >
              <option value="">any state</option>
              {STATES.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Workflow">
          {(attributes) => (
            <select
              {...attributes}
              value={filter.workflowId}
              onChange={(e) => set({ workflowId: e.currentTarget.value })}
            >
              <option value="">any workflow</option>
              {workflows.data?.map((each) => (
                <option key={each.workflowId} value={each.workflowId}>
                  {each.name}
                </option>
              ))}
              {/* One that was deleted has executions still; and the others may not be known. */}
              {filter.workflowId &&
                !workflows.data?.some((each) => each.workflowId === filter.workflowId) && (
                  <option>{filter.workflowId}</option>
                )}
            </select>
          )}
        </Field>
        <SpanField value={filter.span} set={(span) => set({ span })} />
      </div>
      <Problem
        error={list.error ?? workflows.error}
        retry={() => void Promise.all([list.reload(), workflows.reload()])}
      />
      {list.loading && <Waiting />}
      {list.data && items.length === 0 && !list.token && (
        <Empty title="No executions here">
          <p>They appear when a workflow's trigger comes, or when you run one by hand.</p>
          <a class="button" href={to("workflows")}>
            To the workflows
          </a>
        </Empty>
      )}
      {items.length > 0 && <ExecutionTable items={items} />}
      <More token={list.token} load={list.load} empty={items.length === 0} />
    </>
  );
}

export function ExecutionTable({ items }: { items: ExecutionSummary[] }) {
  return (
    <div class="table-scroll">
      <table class="fold">
        <thead>
          <tr>
            <th scope="col">Workflow</th>
            <th scope="col">State</th>
            <th scope="col">Trigger</th>
            <th scope="col">Created</th>
            <th scope="col">Done after</th>
          </tr>
        </thead>
        <tbody>
          {items.map((each) => (
            <tr key={each.executionId}>
              <td>
                <a class="main" href={to("executions", each.executionId)}>
                  {each.workflowName}
                </a>
                {each.error && <div class="error-text small">{each.error.message}</div>}
              </td>
              <td>
                <Badge state={each.status} />
              </td>
              <td class="nowrap">
                <code>{each.triggerType}</code>
              </td>
              <td data-label="Created">
                <Time at={each.createdAt} />
              </td>
              <td class="nowrap" data-label="Done after">
                {between(each.createdAt, each.finishedAt)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Whether its trigger did not let it in: no step of it can go on, or begin again. */
function neverBegan({ error }: Execution): boolean {
  return (
    !!error && !error.step && (error.code === "expression_error" || error.code === "cycle_detected")
  );
}

const STOPPED = { failed: "failed", cancelled: "was stopped" };
const GOING = new Set(["queued", "running", "retrying"]);

export function ExecutionOf({ id }: { id: string }) {
  const path = `/api/executions/${encodeURIComponent(id)}`;
  const found = useLoad(
    () => request<Execution>("GET", path, undefined, { exact: true }),
    id,
    (now) => (!now || GOING.has(now.status) ? 1_500 : 30_000),
  );
  const execution = found.data;
  useTitle(execution ? `${execution.workflowName}: ${execution.status}` : "Execution");
  if (!execution)
    return found.error ? (
      <Problem error={found.error} retry={() => void found.reload()} />
    ) : (
      <Waiting />
    );
  const { eventId } = execution.trigger;
  const lost = neverBegan(execution);
  const act = (verb: string, said: string) => async () => {
    const { status } = await request<Execution>("POST", `${path}/${verb}`);
    toast(said);
    found.put((now) => now && { ...now, status });
    await found.reload();
  };
  return (
    <>
      <Head
        title={execution.workflowName}
        back={[to("executions"), "Executions"]}
        text={<code>{id}</code>}
      >
        <Badge state={execution.status} />
        {(execution.status === "failed" || execution.status === "cancelled") && !lost && (
          <Act
            run={act("retry", `It goes on at the step that ${STOPPED[execution.status]}`)}
            class="primary"
          >
            Retry
          </Act>
        )}
        {lost && eventId?.startsWith("evt_") && <Replay eventId={eventId}>Replay its event</Replay>}
        {!GOING.has(execution.status) && !lost && (
          <Act
            run={async (key) => {
              const next = await request<{ executionId: string }>(
                "POST",
                `${path}/rerun`,
                undefined,
                { idempotencyKey: key },
              );
              go(to("executions", next.executionId));
            }}
          >
            Run again from the start
          </Act>
        )}
        {GOING.has(execution.status) && (
          <Confirm
            title="Cancel this execution?"
            text="The step that runs now ends; no other begins."
            word="Cancel it"
            run={act("cancel", "Cancelled")}
          >
            Cancel
          </Confirm>
        )}
      </Head>
      <Problem error={found.error} retry={() => void found.reload()} />
      {execution.error && (
        <Note tone="bad">
          <p>
            <strong>{execution.error.step ? `Step ${execution.error.step}: ` : ""}</strong>
            {execution.error.message}
          </p>
          <p class="small soft">
            {execution.error.code}
            {execution.error.providerCode
              ? ` · the provider's ${execution.error.providerCode}`
              : ""}
          </p>
        </Note>
      )}
      <section class="card">
        <Facts
          of={[
            [
              "Workflow",
              <a key="w" href={to("workflows", execution.workflowId)}>
                {execution.workflowName}
              </a>,
            ],
            ["Version", String(execution.workflowVersion)],
            ["Created", <Time key="c" at={execution.createdAt} />],
            ["Started after", between(execution.createdAt, execution.startedAt)],
            ["Done after", between(execution.createdAt, execution.finishedAt)],
            ["Next try", execution.retryAt ? <Time key="r" at={execution.retryAt} /> : undefined],
            [
              "Runs again",
              execution.rerunOf ? (
                <a key="o" href={to("executions", execution.rerunOf)}>
                  <code>{execution.rerunOf}</code>
                </a>
              ) : undefined,
            ],
            [
              "Event",
              execution.trigger.eventId?.startsWith("evt_") ? (
                <a key="e" href={to("events", execution.trigger.eventId)}>
                  <code>{execution.trigger.eventId}</code>
                </a>
              ) : undefined,
            ],
          ]}
        />
      </section>
      <section class="stack" aria-label="Time line">
        <h2>Steps</h2>
        <ol class="line">
          <li>
            <span class="dot good" />
            <div class="card stack">
              <div class="row between">
                <h3>
                  Trigger <code>{execution.trigger.type}</code>
                </h3>
                <Time at={execution.createdAt} />
              </div>
              <details>
                <summary>Data</summary>
                <Json value={execution.trigger.data} label="The trigger's data" />
              </details>
            </div>
          </li>
          {execution.steps.map((step) => (
            <StepOf key={step.id} step={step} execution={execution} />
          ))}
        </ol>
      </section>
    </>
  );
}

function StepOf({ step, execution }: { step: Step; execution: Execution }) {
  const [loaded, setLoaded] = useState<{ of: string; output: unknown }>();
  // What is done again after a retry has another output.
  const run = `${execution.retryCount} ${step.startedAt} ${step.finishedAt}`;
  const whole = loaded?.of === run ? loaded : undefined;
  const ran = step.startedAt !== null && step.startedAt !== undefined;
  const took =
    step.durationMs ??
    (step.startedAt && step.finishedAt
      ? Date.parse(step.finishedAt) - Date.parse(step.startedAt)
      : null);
  return (
    <li>
      <span class={`dot ${toneOf(step.status)}`} />
      <div class="card stack">
        <div class="row between">
          <h3>
            {step.id} <code>{step.action}</code>
          </h3>
          <Badge state={step.status} />
        </div>
        <Span step={step} execution={execution} />
        {step.error && (
          <Note tone="bad">
            <p>{step.error.message}</p>
            <p class="small soft">
              {step.error.code}
              {step.error.providerCode ? ` · the provider's ${step.error.providerCode}` : ""}
            </p>
          </Note>
        )}
        <Facts
          of={[
            ["Attempts", step.attempts ? String(step.attempts) : undefined],
            ["Took", took === null ? undefined : duration(took)],
            ["Next try", step.retryAt ? <Time key="r" at={step.retryAt} /> : undefined],
            [
              "Rounds",
              step.rounds
                ? `${step.rounds.done} of ${step.rounds.total} done, ${step.rounds.failed} failed`
                : undefined,
            ],
          ]}
        />
        {ran && step.input != null && (
          <details>
            <summary>Input</summary>
            <Json value={step.input} label={`Input of ${step.id}`} />
          </details>
        )}
        {ran && (step.output != null || step.outputUrl) && (
          <details open={step.status === "succeeded" && execution.steps.length < 4}>
            <summary>Output</summary>
            <div class="stack">
              <Json value={whole ? whole.output : step.output} label={`Output of ${step.id}`} />
              {step.outputUrl && whole === undefined && (
                <div>
                  <Act
                    class="plain"
                    run={async () => {
                      const output = await wholeOutput(execution.executionId, step.id);
                      setLoaded({ of: run, output });
                    }}
                  >
                    Load the whole output
                  </Act>
                </div>
              )}
            </div>
          </details>
        )}
      </div>
    </li>
  );
}

const MOST_PAGES = 100;

/**
 * A step's output, all its pages together: of a `forEach` the rounds' results in their order.
 *
 * What is too long for one answer comes in parts of its JSON text; of a round, under its index.
 */
async function wholeOutput(executionId: string, stepId: string): Promise<unknown> {
  const path = `/api/executions/${encodeURIComponent(executionId)}/steps/${encodeURIComponent(stepId)}/output`;
  const rounds = new Map<number, { output?: unknown; text?: string }>();
  let text = "";
  let nextToken: string | null | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const options = { query: { nextToken }, exact: true };
    const answer = await request<StepOutput>("GET", path, undefined, options);
    for (const each of answer.items ?? [])
      rounds.set(
        each.index,
        typeof each.text === "string"
          ? { text: (rounds.get(each.index)?.text ?? "") + each.text }
          : { output: each.output },
      );
    if (typeof answer.text === "string") text += answer.text;
    else if (!answer.items) return answer.output;
    nextToken = answer.nextToken;
    if (nextToken) continue;
    if (!answer.items) return exact(text);
    return [...rounds.values()].map((each) =>
      each.text === undefined ? each.output : exact(each.text),
    );
  }
  throw new Error("It is too long for this page. The API has all of it, page by page.");
}

/** When the step ran, within the execution. */
function Span({ step, execution }: { step: Step; execution: Execution }) {
  if (!step.startedAt) return null;
  const begin = Date.parse(execution.startedAt ?? execution.createdAt);
  const end = execution.finishedAt ? Date.parse(execution.finishedAt) : Date.now();
  const all = Math.max(end - begin, 1);
  const from = Math.max(0, Date.parse(step.startedAt) - begin) / all;
  const until = ((step.finishedAt ? Date.parse(step.finishedAt) : end) - begin) / all;
  const x = Math.min(99, from * 100);
  return (
    <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="back" width="100" height="8" rx="1" />
      <rect
        class={step.status === "failed" ? "bad" : ""}
        x={x}
        width={Math.max(1, Math.min(100 - x, (until - from) * 100))}
        height="8"
        rx="1"
      />
    </svg>
  );
}
