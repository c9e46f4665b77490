/** The vault: what is connected, in which state, and how to change it. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { request } from "../api";
import { useCatalogue } from "../catalogue";
import { CredentialsForm, checkNew } from "../credentials";
import { useLoad, useTitle } from "../hooks";
import { LogIn } from "../oauth";
import { to } from "../router";
import { sentence } from "../schema";
import { useConnections } from "../statuses";
import type { Connection, Provider, ProviderStatus } from "../types";
import {
  Act,
  Badge,
  Confirm,
  Copy,
  Empty,
  Facts,
  Field,
  Head,
  More,
  Note,
  Problem,
  Time,
  toast,
  Waiting,
} from "../ui";

/** The whole of it: a spreadsheet's title may begin like one. */
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** What a provider tells of an account, as a person reads it. */
function shown(value: unknown): ComponentChildren {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return MOMENT.test(String(value)) ? <Time at={String(value)} /> : String(value);
}

function useStatuses() {
  return useLoad(
    () => request<Record<string, ProviderStatus>>("GET", "/api/integrations/status"),
    "statuses",
    20_000,
  );
}

export function Tile({ title }: { title: string }) {
  const [first = "", second] = title.replace(/[^A-Za-z ]/g, "").split(" ");
  const letters = second ? first.charAt(0) + second.charAt(0) : first.slice(0, 2);
  return (
    <span class="tile" aria-hidden="true">
      {letters.toUpperCase()}
    </span>
  );
}

/** "Google Sheets (log-in)" is logged in to as "Google Sheets". */
export function loginLabel(provider: Provider): string {
  return `Log in with ${provider.title.replace(/ ?\(.*\)/, "")}`;
}

export function Connections() {
  useTitle("Connections");
  const catalogue = useCatalogue();
  const statuses = useStatuses();
  const error = catalogue.error ?? statuses.error;
  const retry = () => void Promise.all([catalogue.reload(), statuses.reload()]);
  return (
    <>
      <Head
        title="Connections"
        text="The accounts that workflows and your application act with. Their secrets are encrypted and never shown."
      />
      <Problem error={error} retry={retry} />
      {!catalogue.data && !error && <Waiting />}
      {catalogue.data && (
        <ul class="cards">
          {catalogue.data.items.map((provider) => (
            <li key={provider.id}>
              <Card provider={provider} status={statuses.data?.[provider.id]} />
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function Card({ provider, status }: { provider: Provider; status: ProviderStatus | undefined }) {
  const connections = status?.connections ?? [];
  const account = status?.account ?? connections[0]?.account;
  return (
    <article class="card provider" aria-label={provider.title}>
      <div class="provider-head">
        <Tile title={provider.title} />
        <h2>{provider.title}</h2>
        <span>{status && <Badge state={status.status} />}</span>
      </div>
      {account ? (
        <Facts
          of={[
            ["Account", account.label],
            ["Tested", <Time key="t" at={status?.lastTested} />],
            ["Expires", status?.expiresAt ? <Time key="e" at={status.expiresAt} /> : undefined],
            [
              "Connections",
              connections.length > 1
                ? `${connections.length}${status?.nextToken ? " and more" : ""}`
                : undefined,
            ],
          ]}
        />
      ) : (
        <p class="soft">
          {provider.oauth ? "Connects by a log-in. " : "Connects with credentials. "}
          {count(provider.actions.length, "action")}
          {provider.triggers.length > 0 && `, ${count(provider.triggers.length, "trigger")}`}.
        </p>
      )}
      {status?.lastError && <p class="error-text">{status.lastError.message}</p>}
      <div class="row">
        <a
          class={`button ${connections.length ? "" : "primary"}`}
          href={to("connections", provider.id)}
        >
          {connections.length ? "Manage" : "Connect"}
          <span class="visually-hidden"> {provider.title}</span>
        </a>
      </div>
    </article>
  );
}

export function ConnectionsOf({ id }: { id: string }) {
  const catalogue = useCatalogue();
  const statuses = useStatuses();
  const provider = catalogue.data?.items.find((each) => each.id === id);
  const listed = useConnections(id, statuses.data?.[id]);
  useTitle(provider?.title ?? "Connections");
  const [adding, setAdding] = useState(false);
  const error = catalogue.error ?? statuses.error;
  const problem = (
    <Problem
      error={error}
      retry={() => void Promise.all([catalogue.reload(), statuses.reload()])}
    />
  );
  if (error && !(provider && statuses.data)) return problem;
  if (!catalogue.data || !statuses.data) return <Waiting />;
  if (!provider) return <Empty title={`There is no provider ${id}`} />;
  const connections = listed.items;
  // After a change what was loaded further down may be older; only what the form itself has made
  // closes the form: somebody may be typing in it while another connection is tested.
  const changed = async () => {
    listed.forget();
    await statuses.reload();
  };
  const added = async () => {
    setAdding(false);
    await changed();
  };
  const create = (name?: string) =>
    provider.oauth ? (
      <NewLogIn provider={provider} {...(name ? { name } : {})} done={added} />
    ) : (
      <CredentialsForm
        provider={provider}
        {...(name ? { connection: name } : {})}
        saved={async (saved) => {
          toast(saved.account?.label ? `Connected: ${saved.account.label}` : "Connected");
          await added();
        }}
        {...(connections.length ? { cancel: () => setAdding(false) } : {})}
      />
    );
  return (
    <>
      <Head
        title={provider.title}
        back={[to(), "Connections"]}
        text={
          <a href={provider.docsUrl} target="_blank" rel="noopener">
            The provider's documentation
          </a>
        }
      >
        {connections.length > 0 && !adding && (
          <button type="button" onClick={() => setAdding(true)}>
            Add another connection
          </button>
        )}
      </Head>
      {problem}
      {adding && connections.length > 0 && (
        <section class="card stack" aria-label="Another connection">
          <h2>Another connection</h2>
          {create()}
        </section>
      )}
      {connections.length === 0 && (
        <section class="card stack" aria-label="Connect">
          <h2>Connect</h2>
          {create("default")}
        </section>
      )}
      {connections.map((each) => (
        <One
          key={each.connection}
          provider={provider}
          connection={each}
          reload={statuses.reload}
          changed={changed}
        />
      ))}
      <More token={listed.nextToken} load={listed.load} />
    </>
  );
}

function NewLogIn({
  provider,
  name,
  done,
}: {
  provider: Provider;
  name?: string;
  done: () => Promise<void>;
}) {
  const [typed, setTyped] = useState("");
  return (
    <div class="stack">
      {name === undefined && (
        <Field label="Connection name" hint="Letters, digits, dots, dashes.">
          {(attributes) => (
            <input
              {...attributes}
              value={typed}
              placeholder="second-shop"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          )}
        </Field>
      )}
      <p class="soft">
        A window of the provider asks you to log in and to agree. Nothing is typed in here.
      </p>
      <LogIn
        provider={provider.id}
        connection={name ?? typed}
        label={loginLabel(provider)}
        disabled={name === undefined && !typed}
        {...(name === undefined ? { check: () => checkNew(provider.id, typed) } : {})}
        done={async () => {
          toast("Connected");
          await done();
        }}
      />
    </div>
  );
}

function One({
  provider,
  connection,
  reload,
  changed,
}: {
  provider: Provider;
  connection: Connection;
  /** Looks again. */
  reload: () => Promise<void>;
  /** Looks again, after it was saved or deleted. */
  changed: () => Promise<void>;
}) {
  const [replacing, setReplacing] = useState(false);
  const [tested, setTested] = useState<{ success: boolean; message: string }>();
  const name = connection.connection;
  const path = `/api/integrations/${encodeURIComponent(provider.id)}`;
  const details = useLoad(
    () =>
      request<Connection>("GET", `${path}/credentials`, undefined, {
        query: { connection: name },
      }),
    `${name} ${connection.updatedAt}`,
    15_000,
  );
  const now = details.data ?? connection;
  const again = now.status === "needs_reauth" || now.status === "expired";
  return (
    <section class="card stack" aria-label={`Connection ${name}`}>
      <div class="row between">
        <h2>{name}</h2>
        <Badge state={now.status} />
      </div>
      <Problem error={details.error} retry={() => void details.reload()} />
      {now.lastError && (
        <Note tone="bad">
          <p>{now.lastError.message}</p>
          <p class="small soft">{now.lastError.code}</p>
        </Note>
      )}
      <Facts
        of={[
          ["Account", now.account?.label],
          ...Object.entries(now.account?.details ?? {})
            .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
            .map(([key, value]): [string, ComponentChildren] => [sentence(key), shown(value)]),
          ["Connected", <Time key="c" at={now.connectedAt} />],
          ["Last test", <Time key="t" at={now.lastTested} />],
          ["Expires", now.expiresAt ? <Time key="e" at={now.expiresAt} /> : undefined],
        ]}
      />
      {now.webhook && <WebhookOf webhook={now.webhook} />}
      {tested && (
        <Note tone={tested.success ? "good" : "bad"}>
          <p>
            <strong>{tested.success ? "It works." : "It does not work."}</strong> {tested.message}
          </p>
        </Note>
      )}
      {replacing && (
        <div class="stack">
          <h3>New credentials for “{name}”</h3>
          <CredentialsForm
            provider={provider}
            connection={name}
            saved={async () => {
              setReplacing(false);
              setTested(undefined);
              toast("Saved");
              await changed();
            }}
            cancel={() => setReplacing(false)}
          />
        </div>
      )}
      {provider.oauth && again && (
        <LogIn provider={provider.id} connection={name} label="Log in again" done={changed} />
      )}
      <div class="row">
        <Act
          run={async () => {
            setTested(undefined);
            setTested(await request("POST", `${path}/test`, { connection: name }));
            await Promise.all([reload(), details.reload()]);
          }}
        >
          Test
        </Act>
        {!provider.oauth && !replacing && (
          <button type="button" onClick={() => setReplacing(true)}>
            Replace credentials
          </button>
        )}
        <Confirm
          title={`Delete ${provider.title}: ${name}?`}
          text="The secret is removed here and, where the provider can, revoked there. Workflows that use it must be changed first."
          word="Delete"
          done="Deleted"
          run={async () => {
            await request("DELETE", `${path}/credentials`, undefined, {
              query: { connection: name },
            });
            await changed();
          }}
        >
          Delete
        </Confirm>
      </div>
      {provider.oauth && !again && (
        <details>
          <summary>Log in again, as somebody else or with more rights</summary>
          <LogIn provider={provider.id} connection={name} label="Log in again" done={changed} />
        </details>
      )}
    </section>
  );
}

function WebhookOf({ webhook }: { webhook: NonNullable<Connection["webhook"]> }) {
  return (
    <div class="stack">
      <Copy label="Webhook URL" value={webhook.url} />
      <Facts
        of={[
          ["Verified by", webhook.verification?.type],
          ["Deliveries", webhook.received ? String(webhook.received) : undefined],
          [
            "Last one",
            webhook.lastReceived ? <Time key="l" at={webhook.lastReceived} /> : undefined,
          ],
          ["Refused deliveries", webhook.rejected ? String(webhook.rejected) : undefined],
        ]}
      />
      {webhook.lastRejection && (
        <Note tone="warn">
          <p>
            <strong>A delivery was refused</strong> <Time at={webhook.lastRejection.at} />:{" "}
            {webhook.lastRejection.reason}
          </p>
        </Note>
      )}
      {webhook.lastFailure && (
        <Note tone="warn">
          <p>
            <strong>A delivery was not understood</strong> <Time at={webhook.lastFailure.at} />:{" "}
            {webhook.lastFailure.reason}
          </p>
        </Note>
      )}
      <p>
        <a href={`${to("events")}?webhookId=${encodeURIComponent(webhook.id)}`}>Its events</a>
      </p>
    </div>
  );
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
