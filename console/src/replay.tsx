/** An event once more, asked for first: what it sends is sent again. */
import type { ComponentChildren } from "preact";
import { request } from "./api";
import { go, to } from "./router";
import { Confirm, toast } from "./ui";

export function Replay({ eventId, children }: { eventId: string; children: ComponentChildren }) {
  return (
    <Confirm
      class="primary"
      title="Replay this event?"
      text="It is taken in again, and starts what it would start today. What is sent is sent again."
      word="Replay"
      run={async (key) => {
        const path = `/api/events/${encodeURIComponent(eventId)}/replay`;
        const options = { idempotencyKey: key };
        const next = await request<{ eventId: string }>("POST", path, {}, options);
        toast("Replayed");
        go(to("events", next.eventId));
      }}
    >
      {children}
    </Confirm>
  );
}
