/** A workflow tried: what each step would send, and a run that really sends. */
import { useMemo, useRef, useState } from "preact/hooks";
import { newKey, request } from "../api";
import { exact } from "../exact";
import { useAction, useLoad } from "../hooks";
import { breakOf } from "../json-places";
import { go, to } from "../router";
import type { EventSummary, Page, Preview, Workflow } from "../types";
import { Field, Json, Note, Problem, toast } from "../ui";
import { pathOf } from "./workflows";

interface Sample {
  eventId: string;
  text: string;
  set: (change: { eventId: string } | { text: string }) => void;
}

/** What is tried with: a logged event, or a text. */
export function useSample(eventId: string): Sample {
  const [sample, set] = useState({ eventId, text: "{}" });
  return { ...sample, set: (change) => set((old) => ({ ...old, ...change })) };
}

function isBroken({ eventId, text }: Sample): boolean {
  return !eventId && breakOf(text) !== null;
}

function SampleFields({ sample }: { sample: Sample }) {
  const { eventId, text } = sample;
  const events = useLoad(
    () => request<Page<EventSummary>>("GET", "/api/events", undefined, { query: { limit: 25 } }),
    "samples",
  );
  return (
    <div class="stack">
      <Problem error={events.error} retry={() => void events.reload()} />
      <Field label="Event" hint="A logged event, or one that you write.">
        {(attributes) => (
          <select
            {...attributes}
            value={eventId}
            onChange={(event) => sample.set({ eventId: event.currentTarget.value })}
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
          error={isBroken(sample) ? "This is not JSON" : undefined}
        >
          {(attributes) => (
            <textarea
              {...attributes}
              class="mono"
              rows={8}
              spellcheck={false}
              value={text}
              onInput={(event) => sample.set({ text: event.currentTarget.value })}
            />
          )}
        </Field>
      )}
    </div>
  );
}

export function PreviewPanel({
  text,
  broken,
  sample,
}: {
  text: string;
  broken: boolean;
  sample: Sample;
}) {
  const [preview, setPreview] = useState<Preview>();
  const run = useAction(async () => {
    setPreview(undefined);
    const source = sample.eventId
      ? { eventId: sample.eventId }
      : { event: { data: exact(sample.text) } };
    const asked = { definition: exact(text), ...source };
    const path = "/api/workflows/preview";
    setPreview(await request<Preview>("POST", path, asked, { exact: true }));
  });
  return (
    <div class="stack">
      <p class="soft">What each step would send. Nothing leaves.</p>
      <SampleFields sample={sample} />
      <div>
        <button
          type="button"
          class="primary"
          disabled={broken || isBroken(sample) || run.busy}
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
                  {step.rounds && (step.roundCount ?? 0) > step.rounds.length && (
                    <p class="soft small">
                      The first {step.rounds.length} of {step.roundCount} rounds.
                    </p>
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

export function RunPanel({
  workflow,
  unsaved,
  sample,
}: {
  workflow: Workflow;
  unsaved: boolean;
  sample: Sample;
}) {
  // Whoever presses again because no answer came must not start a second execution.
  const sent = useRef({ what: "", key: "" });
  const run = useAction(async () => {
    const what = `${workflow.version} ${sample.eventId || sample.text}`;
    if (sent.current.what !== what) sent.current = { what, key: newKey() };
    const options = { idempotencyKey: sent.current.key };
    if (sample.eventId) {
      const path = `/api/events/${encodeURIComponent(sample.eventId)}/replay`;
      await request("POST", path, { workflowIds: [workflow.workflowId] }, options);
      toast("The event is replayed for this workflow");
    }
    const started = sample.eventId
      ? undefined
      : await request<{ executionId: string }>(
          "POST",
          `${pathOf(workflow.workflowId)}/run`,
          { input: exact(sample.text) },
          options,
        );
    sent.current = { what: "", key: "" };
    if (started) go(to("executions", started.executionId));
  });
  const name = useMemo(() => `Run “${workflow.name}” now`, [workflow.name]);
  return (
    <div class="stack">
      <p class="soft">
        This really sends.
        {unsaved && ` What you changed is not saved yet: version ${workflow.version} runs.`}
      </p>
      <SampleFields sample={sample} />
      <div>
        <button
          type="button"
          class="primary"
          disabled={isBroken(sample) || run.busy}
          onClick={() => void run.run()}
        >
          {name}
        </button>
      </div>
      <Problem error={run.error} />
    </div>
  );
}
