/** Workflows: which there are, whether they are on, and how their last runs went. */
import { useState } from "preact/hooks";
import { asApiError, request } from "../api";
import { isExact, TOO_LARGE } from "../exact";
import { useLoad, useTitle } from "../hooks";
import { useList } from "../lists";
import { to } from "../router";
import type { Definition, ExecutionSummary, Page, Workflow } from "../types";
import { Badge, Empty, Head, More, Problem, Time, toast, Waiting } from "../ui";

/** The ready flows of docs/flows: they are part of the page. */
export const FLOWS = Object.entries(
  import.meta.glob<{ name: string }>("../../../docs/flows/*.json", {
    eager: true,
    import: "default",
  }),
).map(([path, flow]) => ({ id: path.replace(/^.*\/|\.json$/g, ""), name: flow.name, flow }));

export function Workflows() {
  useTitle("Workflows");
  const list = useList<Workflow>(
    "/api/workflows",
    {},
    (each) => each.workflowId,
    15_000,
    undefined,
    { exact: true },
  );
  const { items } = list;
  const runs = useLoad(
    () =>
      request<Page<ExecutionSummary>>("GET", "/api/executions", undefined, {
        query: { limit: 100 },
      }),
    "runs",
    15_000,
  );
  return (
    <>
      <Head title="Workflows" text="What is to happen when something happens.">
        <a class="button primary" href={to("workflows", "new")}>
          New workflow
        </a>
      </Head>
      <Problem error={list.error} retry={() => void list.reload()} />
      <Problem error={runs.error} retry={() => void runs.reload()} />
      {list.loading && <Waiting />}
      {list.data && items.length === 0 && (
        <Empty title="No workflows yet">
          <p>Begin with an empty one, or with one of these.</p>
          <Ready />
        </Empty>
      )}
      {items.length > 0 && (
        <div class="table-scroll">
          <table class="fold">
            <thead>
              <tr>
                <th scope="col">Workflow</th>
                <th scope="col">Trigger</th>
                <th scope="col">Last run</th>
                <th scope="col">Changed</th>
                <th scope="col">On</th>
              </tr>
            </thead>
            <tbody>
              {items.map((each) => (
                <tr key={each.workflowId}>
                  <td>
                    <a class="main" href={to("workflows", each.workflowId)}>
                      {each.name}
                    </a>
                    <div class="soft small">
                      {each.steps.length} {each.steps.length === 1 ? "step" : "steps"}
                    </div>
                  </td>
                  <td class="nowrap">
                    <code>{each.trigger.type}</code>
                  </td>
                  <td>
                    <LastRun
                      run={runs.data?.items.find((run) => run.workflowId === each.workflowId)}
                      none={runs.data ? "none lately" : runs.error ? "not known" : "…"}
                    />
                  </td>
                  <td data-label="Changed">
                    <Time at={each.updatedAt} />
                  </td>
                  <td>
                    <OnOff workflow={each} changed={list.change} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More token={list.token} load={list.load} />
    </>
  );
}

export function Ready({ eventId = "" }: { eventId?: string | null }) {
  const sample = eventId ? `&eventId=${encodeURIComponent(eventId)}` : "";
  return (
    <div class="row">
      {FLOWS.map((each) => (
        <a class="button" key={each.id} href={`${to("workflows", "new")}?flow=${each.id}${sample}`}>
          {each.name}
        </a>
      ))}
    </div>
  );
}

/** The newest run among the newest hundred of all workflows: an older one may be there. */
function LastRun({ run, none }: { run: ExecutionSummary | undefined; none: string }) {
  if (!run) return <span class="soft">{none}</span>;
  return (
    <>
      <Badge state={run.status} />{" "}
      <a href={to("executions", run.executionId)}>
        <Time at={run.createdAt} />
      </a>
    </>
  );
}

/** What somebody wrote of a workflow, without what the API tells beside it. */
export function definitionOf({ name, enabled, trigger, steps }: Workflow): Definition {
  return { name, enabled, trigger, steps };
}

export function pathOf(workflowId: string): string {
  return `/api/workflows/${encodeURIComponent(workflowId)}`;
}

/** Refuses a definition in which this browser would save another number than was written. */
export function unaltered(definition: unknown): object {
  if (!isExact(definition)) throw new Error(TOO_LARGE);
  return definition as object;
}

/** Puts a definition in the place of a workflow's version, and of no other one. */
export async function replace(workflow: Workflow, definition: unknown): Promise<Workflow> {
  const body = { ...unaltered(definition), version: workflow.version };
  return await request<Workflow>("PUT", pathOf(workflow.workflowId), body, { exact: true });
}

/** The switch of a workflow; `changed` gets it as it is stored then, and whether by this switch. */
export function OnOff({
  workflow,
  changed,
}: {
  workflow: Workflow;
  changed: (now: Workflow, switched: boolean) => void;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [warning, setWarning] = useState("");
  const set = async (enabled: boolean) => {
    setBusy(true);
    setError("");
    setWarning("");
    try {
      const now = await replace(workflow, { ...definitionOf(workflow), enabled });
      toast(`${now.name} is ${now.enabled ? "on" : "off"}`);
      setWarning(now.warning ?? "");
      changed(now, true);
    } catch (thrown) {
      const { code, message } = asApiError(thrown);
      setError(message);
      if (code === "version_conflict") {
        setError("Somebody has changed it meanwhile; it was not switched. This is how it is now.");
        const path = pathOf(workflow.workflowId);
        const now = await request<Workflow>("GET", path, undefined, { exact: true }).catch(
          () => {},
        );
        if (now) changed(now, false);
      }
    }
    setBusy(false);
  };
  return (
    <>
      <input
        type="checkbox"
        class="switch"
        aria-label={`${workflow.name} is on`}
        checked={workflow.enabled}
        disabled={busy}
        onChange={(event) => void set(event.currentTarget.checked)}
      />
      {error && (
        <div class="error-text" role="alert">
          {error}
        </div>
      )}
      {warning && (
        <div class="small" role="status">
          {warning}
        </div>
      )}
    </>
  );
}
