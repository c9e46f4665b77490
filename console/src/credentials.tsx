/** The form of a provider's credentials: test and save, with each refusal at its field. */
import { ApiError } from "@integrations-backend/client";
import { useMemo, useState } from "preact/hooks";
import { request } from "./api";
import { messageAt, pathsOf, placeOf, SchemaForm, type Values } from "./form";
import { useAction } from "./hooks";
import type { Account, Connection, Provider } from "./types";
import { Field, Note, Problem } from "./ui";

interface Tested {
  success: boolean;
  message: string;
  code?: string | null;
  account?: Account | null;
  errors?: { field: string; message: string }[] | null;
}

/**
 * Refuses a new connection's name that another one has: what is saved would replace that one.
 *
 * The API is asked, as a page may know only some of the connections.
 */
export async function checkNew(providerId: string, connection: string): Promise<void> {
  const path = `/api/integrations/${encodeURIComponent(providerId)}/credentials`;
  try {
    await request("GET", path, undefined, { query: { connection } });
  } catch (error) {
    if (error instanceof ApiError && error.code === "unknown_connection") return;
    throw error;
  }
  throw new ApiError({
    type: "about:blank",
    title: "The name is taken",
    status: 409,
    detail: "There is a connection of this name already, and this one would replace it",
    code: "name_taken",
    errors: [{ field: "connection", message: "Choose another name" }],
  });
}

export function CredentialsForm({
  provider,
  connection,
  saved,
  token,
  cancel,
}: {
  provider: Provider;
  /** The connection's name; a new one is asked for where it is left out. */
  connection?: string;
  saved: (connection: Connection) => void | Promise<void>;
  token?: string;
  cancel?: () => void;
}) {
  const [values, setValues] = useState<Values>({});
  const [name, setName] = useState("");
  const [outcome, setOutcome] = useState<{ of: Values; tested: Tested }>();
  // What was typed during a test was not tested.
  const tested = outcome?.of === values ? outcome.tested : undefined;
  const known = useMemo(() => pathsOf(provider.credentials, "credentials"), [provider]);
  const options = token === undefined ? {} : { token };
  const body = () => ({ credentials: values, connection: connection ?? name });
  const path = `/api/integrations/${encodeURIComponent(provider.id)}`;
  const test = useAction(async () => {
    setOutcome(undefined);
    save.clear();
    const given = await request<Tested>("POST", `${path}/test`, body(), options);
    setOutcome({ of: values, tested: given });
  });
  const save = useAction(async () => {
    setOutcome(undefined);
    test.clear();
    if (connection === undefined && name) await checkNew(provider.id, name);
    const answer = await request<Connection>("POST", `${path}/credentials`, body(), options);
    // The secret was sent: it is in no field and no state any more.
    setValues({});
    await saved(answer);
  });
  const error = save.error ?? test.error;
  const all = [...(error?.errors ?? []), ...(tested?.errors ?? [])];
  const errorAt = (at: string) => messageAt(at, all, known);
  return (
    <form
      class="stack"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void save.run();
      }}
    >
      {connection === undefined && (
        <Field
          label="Connection name"
          hint="Letters, digits, dots, dashes; workflows use it to say which of several connections they mean."
          error={errorAt("connection")}
        >
          {(attributes) => (
            <input
              {...attributes}
              value={name}
              placeholder="second-shop"
              onInput={(e) => setName(e.currentTarget.value)}
            />
          )}
        </Field>
      )}
      <SchemaForm
        schema={provider.credentials}
        path="credentials"
        value={values}
        change={setValues}
        errorAt={errorAt}
      />
      <Problem
        error={error}
        shown={(field) =>
          placeOf(field, known) !== undefined ||
          (field === "connection" && connection === undefined)
        }
      />
      {tested && (
        <Note tone={tested.success ? "good" : "bad"}>
          <p>
            <strong>{tested.success ? "It works." : "It does not work."}</strong> {tested.message}
          </p>
          {!tested.success && tested.code && <p class="small soft">{tested.code}</p>}
        </Note>
      )}
      <div class="row">
        <button type="submit" class="primary" disabled={save.busy || test.busy}>
          {save.busy ? "Saving…" : "Save"}
        </button>
        <button type="button" disabled={save.busy || test.busy} onClick={() => void test.run()}>
          {test.busy ? "Testing…" : "Test"}
        </button>
        {cancel && (
          <button type="button" onClick={cancel}>
            Cancel
          </button>
        )}
      </div>
      <p class="small soft">
        Saving tests first. What is saved is encrypted, and never shown again.
      </p>
    </form>
  );
}
