/** A provider's connections beyond the first page of its status. */
import { useState } from "preact/hooks";
import { request } from "./api";
import type { Connection, ProviderStatus } from "./types";

interface Further {
  of: string;
  items: Connection[];
  nextToken: string | null | undefined;
}

/** The connections that are known so far, how to know more of them, and how to forget those. */
export function useConnections(id: string, status: ProviderStatus | undefined) {
  const [found, setFound] = useState<Further>();
  const further = found?.of === id ? found : undefined;
  const first = status?.connections ?? [];
  const seen = new Set(first.map((each) => each.connection));
  const nextToken = further ? further.nextToken : status?.nextToken;
  const load = async () => {
    const query = { provider: id, nextToken };
    const page = await request<Record<string, ProviderStatus>>(
      "GET",
      "/api/integrations/status",
      undefined,
      { query },
    );
    const items = [...(further?.items ?? []), ...(page[id]?.connections ?? [])];
    setFound({ of: id, items, nextToken: page[id]?.nextToken });
  };
  const rest = (further?.items ?? []).filter((each) => !seen.has(each.connection));
  return { items: [...first, ...rest], nextToken, load, forget: () => setFound(undefined) };
}
