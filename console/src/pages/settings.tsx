/** Tokens, secrets, origins, the audit log, and the API's reference. */
import { useState } from "preact/hooks";
import { request } from "../api";
import { useAction, useLoad, useTitle } from "../hooks";
import { useList } from "../lists";
import { go, mayLeave, to, useUnsaved } from "../router";
import type { AuditEntry, Page, Token } from "../types";
import {
  Badge,
  Confirm,
  Copy,
  Dialog,
  Field,
  Head,
  More,
  Note,
  Problem,
  Tabs,
  Time,
  toast,
  Waiting,
} from "../ui";
import { Reference } from "./reference";

const SCOPES: [string, string][] = [
  ["read", "see everything but secrets"],
  ["write", "change, run, save"],
  ["admin", "tokens, audit, export, erasure"],
];

export default function Settings({ part }: { part: string }) {
  useTitle("Settings");
  return (
    <>
      <Head title="Settings" />
      <Tabs
        label="Settings"
        now={part}
        set={(name) => go(to("settings", name), { replace: true })}
        of={[
          ["tokens", "API tokens"],
          ["secrets", "Secrets"],
          ["origins", "Origins"],
          ["audit", "Audit"],
          ["reference", "API reference"],
        ]}
      >
        {part === "secrets" ? (
          <Secrets />
        ) : part === "origins" ? (
          <Origins />
        ) : part === "audit" ? (
          <Audit />
        ) : part === "reference" ? (
          <Reference />
        ) : (
          <Tokens />
        )}
      </Tabs>
    </>
  );
}

function Tokens() {
  const list = useList<Token>("/api/tokens", {}, (each) => each.tokenId);
  const { items } = list;
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Token>();
  useUnsaved(made?.token ?? undefined);
  return (
    <section class="stack" aria-label="API tokens">
      <div class="row between">
        <p class="soft">What your programs call the API with. A token's text is shown once.</p>
        <button type="button" class="primary" onClick={() => mayLeave() && setMaking(true)}>
          New token
        </button>
      </div>
      {made?.token && (
        <Note tone="good">
          <p>
            <strong>{made.name}</strong> is made. Copy it now: it is not shown again.
          </p>
          <Copy label="Token" value={made.token} />
          <div>
            <button type="button" onClick={() => setMade(undefined)}>
              I have it
            </button>
          </div>
        </Note>
      )}
      <Problem error={list.error} retry={() => void list.reload()} />
      {list.loading && <Waiting />}
      {list.data && items.length === 0 && !list.token && <p class="soft">There are none.</p>}
      {items.length > 0 && (
        <div class="table-scroll">
          <table class="fold">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Scopes</th>
                <th scope="col">Made</th>
                <th scope="col">Last used</th>
                <th scope="col">Expires</th>
                <th scope="col">
                  <span class="visually-hidden">Revoke</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {items.map((each) => (
                <tr key={each.tokenId}>
                  <td>
                    <strong>{each.name}</strong>
                  </td>
                  <td>{each.scopes.join(", ")}</td>
                  <td data-label="Made">
                    <Time at={each.createdAt} />
                  </td>
                  <td data-label="Last used">
                    <Time at={each.lastUsedAt} />
                  </td>
                  <td data-label="Expires">
                    {each.expiresAt ? <Time at={each.expiresAt} /> : "never"}
                  </td>
                  <td class="actions">
                    <Confirm
                      class="plain"
                      title={`Revoke ${each.name}?`}
                      text="Programs that use it are refused from now on, within a minute."
                      word="Revoke"
                      done="Revoked"
                      run={async () => {
                        await request("DELETE", `/api/tokens/${encodeURIComponent(each.tokenId)}`);
                        await list.reload();
                      }}
                    >
                      Revoke
                    </Confirm>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More token={list.token} load={list.load} empty={items.length === 0} />
      {making && (
        <NewToken
          close={() => setMaking(false)}
          made={async (token) => {
            setMaking(false);
            setMade(token);
            await list.reload();
          }}
        />
      )}
    </section>
  );
}

function NewToken({ close, made }: { close: () => void; made: (token: Token) => Promise<void> }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState(["read", "write"]);
  const [days, setDays] = useState("90");
  const make = useAction(async () => {
    const expires = days ? { expiresInDays: Number(days) } : {};
    await made(await request<Token>("POST", "/api/tokens", { name, scopes, ...expires }));
  });
  return (
    <Dialog title="New token" close={close}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void make.run();
        }}
      >
        <Field label="Name" hint="Which program it is for." error={make.error?.messageFor("name")}>
          {(attributes) => (
            <input
              {...attributes}
              value={name}
              placeholder="shop"
              onInput={(event) => setName(event.currentTarget.value)}
            />
          )}
        </Field>
        <fieldset>
          <legend>Scopes</legend>
          {SCOPES.map(([scope, text]) => (
            <label class="check" key={scope}>
              <input
                type="checkbox"
                checked={scopes.includes(scope)}
                onChange={(event) =>
                  setScopes(
                    event.currentTarget.checked
                      ? [...scopes, scope]
                      : scopes.filter((each) => each !== scope),
                  )
                }
              />
              {scope} <span class="optional">{text}</span>
            </label>
          ))}
        </fieldset>
        <Field label="Expires after" error={make.error?.messageFor("expiresInDays")}>
          {(attributes) => (
            <select
              {...attributes}
              value={days}
              onChange={(event) => setDays(event.currentTarget.value)}
            >
              {["7", "30", "90", "365"].map((each) => (
                <option key={each} value={each}>
                  {each} days
                </option>
              ))}
              <option value="">never</option>
            </select>
          )}
        </Field>
        <Problem
          error={make.error}
          shown={(field) => field === "name" || field === "expiresInDays"}
        />
        <div class="row end">
          <button type="submit" class="primary" disabled={make.busy || !name || !scopes.length}>
            Make it
          </button>
        </div>
      </form>
    </Dialog>
  );
}

interface SecretName {
  name: string;
  updatedAt?: string | null;
}

function Secrets() {
  const list = useLoad(() => request<Page<SecretName>>("GET", "/api/secrets"), "secrets");
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [seen, setSeen] = useState(false);
  const save = useAction(async () => {
    await request("PUT", `/api/secrets/${encodeURIComponent(name)}`, { value });
    setValue("");
    setName("");
    setSeen(false);
    toast("Saved");
    await list.reload();
  });
  return (
    <section class="stack" aria-label="Secrets">
      <p class="soft">
        Values for steps' parameters, as <code>{"{{ secrets.NAME }}"}</code>. They are encrypted and
        never shown.
      </p>
      <form
        class="card stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save.run();
        }}
      >
        <div class="columns">
          <Field label="Name" error={save.error?.messageFor("name")}>
            {(attributes) => (
              <input
                {...attributes}
                class="mono"
                value={name}
                placeholder="SHOP_KEY"
                onInput={(event) => setName(event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label="Value" error={save.error?.messageFor("value")}>
            {(attributes) => (
              <div class="with-button">
                {/* Of lines, as a key in PEM is: a field for passwords would join them. */}
                <textarea
                  {...attributes}
                  class={seen ? "mono" : "mono concealed"}
                  rows={seen ? 6 : 1}
                  autocomplete="off"
                  data-1p-ignore
                  data-lpignore="true"
                  spellcheck={false}
                  value={value}
                  onInput={(event) => setValue(event.currentTarget.value)}
                />
                <button
                  type="button"
                  aria-pressed={seen}
                  aria-label="Show what is typed"
                  onClick={() => setSeen(!seen)}
                >
                  {seen ? "Hide" : "Show"}
                </button>
              </div>
            )}
          </Field>
        </div>
        <Problem error={save.error} shown={(field) => field === "name" || field === "value"} />
        <div>
          <button type="submit" class="primary" disabled={!name || !value || save.busy}>
            Save
          </button>
        </div>
      </form>
      <Problem error={list.error} retry={() => void list.reload()} />
      {list.loading && <Waiting />}
      {list.data?.items.length === 0 && <p class="soft">There are none.</p>}
      {list.data && list.data.items.length > 0 && (
        <div class="table-scroll">
          <table class="fold">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Changed</th>
                <th scope="col">
                  <span class="visually-hidden">Delete</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {list.data.items.map((each) => (
                <tr key={each.name}>
                  <td>
                    <code>{each.name}</code>
                  </td>
                  <td data-label="Changed">
                    <Time at={each.updatedAt} />
                  </td>
                  <td class="actions">
                    <Confirm
                      class="plain"
                      title={`Delete ${each.name}?`}
                      text="Steps that use it fail from then on."
                      word="Delete"
                      done="Deleted"
                      run={async () => {
                        await request("DELETE", `/api/secrets/${encodeURIComponent(each.name)}`);
                        await list.reload();
                      }}
                    >
                      Delete
                    </Confirm>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Origins() {
  const origins = useLoad(
    () =>
      request<{ origins: string[] }>("GET", "/console/settings.json", undefined, { token: null }),
    "origins",
  );
  return (
    <section class="stack" aria-label="Origins">
      <p class="soft">
        Pages of these origins may call the API from a browser, and log-ins may lead back to them.
        They are the stack's parameter <code>FrontendUrl</code>, on a laptop{" "}
        <code>FRONTEND_URL</code> in <code>.env</code>. Which credential is for which client is in{" "}
        <a href="/docs/clients">the documentation</a>.
      </p>
      <Problem error={origins.error} retry={() => void origins.reload()} />
      {origins.loading && <Waiting />}
      <ul>
        {origins.data?.origins.map((each) => (
          <li key={each}>
            <code>{each}</code>
          </li>
        ))}
      </ul>
    </section>
  );
}

const audited = (each: AuditEntry) => `${each.at} ${each.requestId} ${each.action}`;

function Audit() {
  const list = useList<AuditEntry>("/api/audit", {}, audited);
  const { items } = list;
  return (
    <section class="stack" aria-label="Audit">
      <p class="soft">Who changed what, newest first.</p>
      <Problem error={list.error} retry={() => void list.reload()} />
      {list.loading && <Waiting />}
      {list.data && items.length === 0 && <p class="soft">Nothing was changed yet.</p>}
      {items.length > 0 && (
        <div class="table-scroll">
          <table class="fold">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Who</th>
                <th scope="col">What</th>
                <th scope="col">Outcome</th>
                <th scope="col">From</th>
              </tr>
            </thead>
            <tbody>
              {items.map((each) => (
                <tr key={audited(each)}>
                  <td>
                    <Time at={each.at} />
                  </td>
                  <td>
                    {each.actor.name ?? each.actor.id ?? each.actor.kind}{" "}
                    <span class="soft small">{each.actor.kind}</span>
                  </td>
                  <td>
                    <code>{each.action}</code> <span class="path">{each.target}</span>
                  </td>
                  <td>
                    <Badge state={each.outcome} />
                  </td>
                  <td>{each.sourceIp}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More token={list.token} load={list.load} />
    </section>
  );
}
