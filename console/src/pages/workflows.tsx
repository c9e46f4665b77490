/** Workflows: which there are, whether they are on, and how their last runs went. */
import { useState } from "preact/hooks";
import { request } from "../api";
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
  const list = useList<Workflow>("/api/workflows", {}, (each) => each.workflowId, 15_000);
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
                <th scope="col">Last runs</th>
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
                    <LastRuns
                      runs={(runs.data?.items ?? []).filter(
                        (run) => run.workflowId === each.workflowId,
                      )}
                    />
                  </td>
                  <td data-label="Changed">
                    <Time at={each.updatedAt} />
                  </td>
                  <td>
                    <OnOff workflow={each} changed={list.reload} />
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

export function Ready() {
  return (
    <div class="row">
      {FLOWS.map((each) => (
        <a class="button" key={each.id} href={`${to("workflows", "new")}?flow=${each.id}`}>
          {each.name}
        </a>
      ))}
    </div>
  );
}

function LastRuns({ runs }: { runs: ExecutionSummary[] }) {
  const last = runs[0];
  if (!last) return <span class="soft">none</span>;
  return (
    <>
      <Badge state={last.status} />{" "}
      <a href={to("executions", last.executionId)}>
        <Time at={last.createdAt} />
      </a>
    </>
  );
}

/** What somebody wrote of a workflow, without what the API tells beside it. */
export function definitionOf({ name, enabled, trigger, steps }: Workflow): Definition {
  return { name, enabled, trigger, steps };
}

export function OnOff({ workflow, changed }: { workflow: Workflow; changed: () => Promise<void> }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>("");
  return (
    <>
      <input
        type="checkbox"
        class="switch"
        aria-label={`${workflow.name} is on`}
        checked={workflow.enabled}
        disabled={busy}
        onChange={async (event) => {
          const enabled = event.currentTarget.checked;
          setBusy(true);
          setError("");
          try {
            await request("PUT", `/api/workflows/${encodeURIComponent(workflow.workflowId)}`, {
              ...definitionOf(workflow),
              enabled,
            });
            toast(`${workflow.name} is ${enabled ? "on" : "off"}`);
          } catch (thrown) {
            setError(thrown instanceof Error ? thrown.message : String(thrown));
          }
          await changed();
          setBusy(false);
        }}
      />
      {error && (
        <div class="error-text" role="alert">
          {error}
        </div>
      )}
    </>
  );
}
