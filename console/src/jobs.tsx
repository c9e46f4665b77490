/** Something long that the backend does: how far it is. */
import { request } from "./api";
import { useLoad } from "./hooks";
import type { Job } from "./types";
import { Act, Badge, Note, Problem } from "./ui";

const OVER = new Set(["succeeded", "failed", "cancelled"]);

export function JobLine({ job }: { job: Job }) {
  const path = `/api/jobs/${encodeURIComponent(job.jobId)}`;
  const found = useLoad(
    () => request<Job>("GET", path),
    job.jobId,
    (now) => (now && OVER.has(now.status) ? 0 : 1_000),
  );
  const now = found.data ?? job;
  const counts = [
    now.total === null || now.total === undefined ? "" : `${now.done ?? 0} of ${now.total}`,
    now.failed ? `${now.failed} failed` : "",
  ].filter(Boolean);
  return (
    <Note {...(now.status === "failed" ? { tone: "bad" as const } : {})}>
      <div class="row">
        <Badge state={now.status} />
        <span>
          {now.kind.replaceAll("_", " ")}
          {counts.length > 0 && `: ${counts.join(", ")}`}
        </span>
        {!OVER.has(now.status) && (
          <Act
            run={async () => {
              await request("POST", `${path}/cancel`);
              await found.reload();
            }}
          >
            Stop
          </Act>
        )}
      </div>
      {now.error && <p class="error-text">{now.error}</p>}
      <Problem error={found.error} />
    </Note>
  );
}
