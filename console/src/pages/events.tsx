/** Deliveries as they come in: verified or refused, and what they started. */
import { useEffect, useState } from "preact/hooks";
import { request } from "../api";
import { useCatalogue } from "../catalogue";
import { useLoad, useTitle } from "../hooks";
import { JobLine } from "../jobs";
import { useFilter, useList } from "../lists";
import { Replay } from "../replay";
import { to } from "../router";
import type { EventDetails, EventSummary, Job } from "../types";
import {
  Act,
  Badge,
  Confirm,
  copy,
  Empty,
  Facts,
  Field,
  Head,
  Json,
  More,
  Note,
  Problem,
  Time,
  Waiting,
} from "../ui";
import { SpanField, since } from "./executions";

const OUTCOMES = ["dispatched", "filtered", "unmatched", "refused"];
/** How often one looks: a delivery is to be seen within three seconds. */
const LIVE = 1_500;

export function Events() {
  useTitle("Events");
  const [filter, set] = useFilter("events", ["outcome", "provider", "webhookId", "span"]);
  const [live, setLive] = useState(true);
  // A field's own text would be taken back by each look, until the filter has it.
  const [webhook, setWebhook] = useState(filter.webhookId);
  useEffect(() => setWebhook(filter.webhookId), [filter.webhookId]);
  const catalogue = useCatalogue();
  const { span, ...rest } = filter;
  const list = useList<EventSummary>(
    "/api/events",
    filter,
    (each) => each.eventId,
    live ? LIVE : 0,
    () => ({ ...rest, since: since(span) }),
  );
  const { items } = list;
  const [job, setJob] = useState<Job>();
  return (
    <>
      <Head title="Events" text="Each delivery to your webhooks, newest first.">
        <label class="check">
          <input
            type="checkbox"
            class="switch"
            checked={live}
            onChange={(event) => setLive(event.currentTarget.checked)}
          />
          Live
        </label>
        <Confirm
          class=""
          title="Replay these events?"
          text="All events that fit the filter are taken in again, and start what they would start today. What is sent is sent again."
          word="Replay them"
          run={async (idempotencyKey, asked) => {
            const chosen = Object.fromEntries(Object.entries(rest).filter(([, value]) => value));
            const from = since(span, asked);
            const body = { filter: { ...chosen, ...(from ? { since: from } : {}) } };
            setJob(await request<Job>("POST", "/api/events/replay", body, { idempotencyKey }));
          }}
        >
          Replay all
        </Confirm>
      </Head>
      {job && <JobLine job={job} />}
      <div class="filters">
        <Field label="Outcome">
          {(attributes) => (
            <select
              {...attributes}
              value={filter.outcome}
              onChange={(event) => set({ outcome: event.currentTarget.value })}
            >
              <option value="">any outcome</option>
              {OUTCOMES.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Provider">
          {(attributes) => (
            <select
              {...attributes}
              value={filter.provider}
              onChange={(event) => set({ provider: event.currentTarget.value })}
            >
              <option value="">any provider</option>
              {catalogue.data?.items.map((each) => (
                <option key={each.id} value={each.id}>
                  {each.title}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Webhook">
          {(attributes) => (
            <input
              {...attributes}
              value={webhook}
              placeholder="its id"
              onInput={(event) => setWebhook(event.currentTarget.value)}
              onChange={(event) => set({ webhookId: event.currentTarget.value })}
            />
          )}
        </Field>
        <SpanField value={span} set={(next) => set({ span: next })} />
      </div>
      <Problem
        error={list.error ?? catalogue.error}
        retry={() => void Promise.all([list.reload(), catalogue.reload()])}
      />
      {list.loading && <Waiting />}
      {list.data && items.length === 0 && !list.token && (
        <Empty title="No events here">
          <p>They appear as soon as something is delivered to a webhook's URL.</p>
          <a class="button" href={to()}>
            To the connections and their URLs
          </a>
        </Empty>
      )}
      {items.length > 0 && (
        <div class="table-scroll">
          <table class="fold">
            <thead>
              <tr>
                <th scope="col">Event</th>
                <th scope="col">Outcome</th>
                <th scope="col">Webhook</th>
                <th scope="col">Received</th>
                <th scope="col">Size</th>
              </tr>
            </thead>
            <tbody>
              {items.map((each) => (
                <tr key={each.eventId}>
                  <td>
                    <a class="main" href={to("events", each.eventId)}>
                      {each.types?.length ? each.types.join(", ") : each.provider}
                    </a>
                    {each.reason && <div class="soft small">{each.reason}</div>}
                    {each.replayOf && <div class="soft small">a replay</div>}
                  </td>
                  <td>
                    <Badge state={each.outcome} />
                  </td>
                  <td>
                    <code>{each.webhookId ?? each.provider}</code>
                  </td>
                  <td>
                    <Time at={each.receivedAt} />
                  </td>
                  <td class="nowrap">{bytes(each.size)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More token={list.token} load={list.load} empty={items.length === 0} />
    </>
  );
}

export function EventOf({ id }: { id: string }) {
  const path = `/api/events/${encodeURIComponent(id)}`;
  // A replay is in the log as soon as it was taken in: until then it is looked for.
  const found = useLoad(
    () => request<EventDetails>("GET", path, undefined, { exact: true }),
    id,
    3_000,
  );
  const event = found.data;
  useTitle(event ? `Event ${event.types?.join(", ") ?? ""}` : "Event");
  if (!event)
    return found.error ? (
      <Problem error={found.error} retry={() => void found.reload()} />
    ) : (
      <Waiting />
    );
  const verification = event.verification;
  return (
    <>
      <Head
        title={event.types?.length ? event.types.join(", ") : "Event"}
        back={[to("events"), "Events"]}
        text={<code>{event.eventId}</code>}
      >
        <Badge state={event.outcome} />
        {event.outcome !== "refused" && <Replay eventId={event.eventId}>Replay</Replay>}
        {event.webhookId && !event.bodyTruncated && (
          <Act run={() => copy(curlOf(event))}>Copy as curl</Act>
        )}
        <a
          class="button"
          href={`${to("workflows", "new")}?eventId=${encodeURIComponent(event.eventId)}`}
        >
          Use as a sample
        </a>
      </Head>
      <Problem error={found.error} retry={() => void found.reload()} />
      {event.reason && (
        <Note tone={event.outcome === "refused" ? "bad" : "warn"}>
          <p>{event.reason}</p>
        </Note>
      )}
      <section class="card">
        <Facts
          of={[
            ["Webhook", event.webhookId ? <code key="w">{event.webhookId}</code> : undefined],
            ["Provider", event.provider],
            ["Received", <Time key="t" at={event.receivedAt} />],
            ["Size", bytes(event.size)],
            [
              "Verification",
              verification
                ? `${verification.type ?? "none"}: ${verification.verified ? "verified" : "refused"}${verification.reason ? `, ${verification.reason}` : ""}`
                : undefined,
            ],
            [
              "A replay of",
              event.replayOf ? (
                <a key="r" href={to("events", event.replayOf)}>
                  <code>{event.replayOf}</code>
                </a>
              ) : undefined,
            ],
          ]}
        />
      </section>
      <section class="stack" aria-label="Workflows">
        <h2>What it started</h2>
        {!event.workflows?.length && (
          <p class="soft">
            {event.outcome === "refused"
              ? "Nothing: what is refused is shown to no workflow, and cannot be replayed."
              : "No workflow listens to it."}
          </p>
        )}
        {event.workflows && event.workflows.length > 0 && (
          <div class="table-scroll">
            <table class="fold">
              <thead>
                <tr>
                  <th scope="col">Workflow</th>
                  <th scope="col">Outcome</th>
                  <th scope="col">Why</th>
                  <th scope="col">Execution</th>
                </tr>
              </thead>
              <tbody>
                {event.workflows.map((each) => (
                  <tr key={each.workflowId + (each.executionId ?? "")}>
                    <td>
                      <a class="main" href={to("workflows", each.workflowId)}>
                        {each.workflowName ?? each.workflowId}
                      </a>
                    </td>
                    <td>
                      <Badge state={each.outcome} />
                    </td>
                    <td>{each.reason ?? ""}</td>
                    <td>
                      {each.executionId && (
                        <a href={to("executions", each.executionId)}>
                          <code>{each.executionId}</code>
                        </a>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      <div class="columns">
        <section class="stack" aria-label="Body">
          <h2>Body</h2>
          {event.bodyTruncated && (
            <p class="soft small">Its beginning; the whole is stored, and a replay sends it.</p>
          )}
          <Json value={event.body} label="The delivery's body" />
        </section>
        <section class="stack" aria-label="Headers">
          <h2>Headers</h2>
          <Json value={event.headers} label="The delivery's headers" />
          {event.query && Object.keys(event.query).length > 0 && (
            <>
              <h2>Query</h2>
              <Json value={event.query} label="The delivery's query" />
            </>
          )}
        </section>
      </div>
      {event.events && event.events.length > 0 && (
        <section class="stack" aria-label="What templates see">
          <h2>What templates see as trigger</h2>
          {event.events.map((each, at) => (
            <details class="card" key={`${each.type} ${at + 1}`} open={at === 0}>
              <summary>
                <code>{each.type}</code>
              </summary>
              {each.dataTruncated && (
                <p class="soft small">Its beginning; templates see all of it.</p>
              )}
              <Json value={each.data} label={`Data of ${each.type}`} />
            </details>
          ))}
        </section>
      )}
    </>
  );
}

/**
 * The delivery as a command for a shell; what was secret in it is not there.
 *
 * JSON is written anew, so a signature over its bytes may not fit any more.
 */
export function curlOf(event: EventDetails): string {
  const own = new Set(["host", "content-length", "connection", "accept-encoding"]);
  const query = new URLSearchParams(
    Object.entries(event.query ?? {}).flatMap(([name, given]) =>
      [given].flat().map((value) => [name, value]),
    ),
  );
  const path = [event.webhookId ?? "", ...(event.path?.split("/") ?? [])]
    .filter(Boolean)
    .map((part) => `/${encodeURIComponent(part)}`);
  const url = `${location.origin}/api/webhooks${path.join("")}${query.size ? `?${query}` : ""}`;
  const headers = Object.entries(event.headers ?? {})
    .filter(
      ([name]) => !own.has(name.toLowerCase()) && !name.toLowerCase().startsWith("x-forwarded-"),
    )
    .map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`);
  // curl would call it a form.
  if (!Object.keys(event.headers ?? {}).some((name) => name.toLowerCase() === "content-type"))
    headers.push("-H 'Content-Type:'");
  const method = event.method || "POST";
  const verb = method === "HEAD" ? ["-I"] : method === "POST" && event.size ? [] : [`-X ${method}`];
  const { before, data } = bodyOf(event);
  return before + [`curl ${quote(url)}`, ...verb, ...headers, ...data].join(" \\\n  ");
}

/** What hands a shell's command the body, and what must stand before the command for that. */
function bodyOf({ body, size }: EventDetails): { before: string; data: string[] } {
  if (!size) return { before: "", data: [] };
  // Bytes and text are shown beside JSON that looks the same: their size tells them from it.
  const base64 = (body as { base64?: unknown } | null)?.base64;
  if (typeof base64 === "string" && lengthOf(base64) === size)
    return { before: `printf %s ${quote(base64)} | base64 -d | `, data: ["--data-binary @-"] };
  const isText = typeof body === "string" && new TextEncoder().encode(body).length === size;
  return { before: "", data: [`--data-raw ${quote(isText ? body : JSON.stringify(body))}`] };
}

function lengthOf(base64: string): number {
  return (base64.length / 4) * 3 - (base64.match(/=*$/)?.[0].length ?? 0);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bytes(size: number | undefined): string {
  if (size === undefined || size === null) return "–";
  return size < 1000 ? `${size} B` : `${(size / 1000).toFixed(size < 10_000 ? 1 : 0)} kB`;
}
