/** The form of a provider's credentials: test and save, with each refusal at its field. */
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
  const [tested, setTested] = useState<Tested>();
  const known = useMemo(() => pathsOf(provider.credentials, "credentials"), [provider]);
  const options = token === undefined ? {} : { token };
  const body = () => ({ credentials: values, connection: connection ?? name });
  const path = `/api/integrations/${encodeURIComponent(provider.id)}`;
  const test = useAction(async () => {
    setTested(undefined);
    save.clear();
    setTested(await request<Tested>("POST", `${path}/test`, body(), options));
  });
  const save = useAction(async () => {
    setTested(undefined);
    test.clear();
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
        change={(next) => {
          setValues(next);
          setTested(undefined);
        }}
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
