/** One mistake in what was sent: `field` is its path there, `message` a sentence for a person. */
export interface FieldProblem {
  field: string;
  message: string;
}

/** A refusal as RFC 9457 has it; see the codes in docs/api.md. */
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  requestId?: string | null;
  errors?: FieldProblem[] | null;
  [more: string]: unknown;
}

/** What every call throws where the API refuses, or does not answer (`status` 0). */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  /** For programs; `network_error` where no answer came. */
  readonly code: string;
  readonly errors: FieldProblem[];
  readonly requestId: string | null;
  /** Seconds to wait before the next try, where the API says. */
  readonly retryAfter: number | null;

  constructor(
    readonly problem: ProblemBody,
    retryAfter: number | null = null,
  ) {
    super(problem.detail || problem.title);
    this.status = problem.status;
    this.code = problem.code;
    this.errors = problem.errors ?? [];
    this.requestId = problem.requestId ?? null;
    this.retryAfter = retryAfter;
  }

  /** Whether somebody must log in again, or bring another token. */
  get isUnauthorized(): boolean {
    return this.status === 401;
  }

  /** The message for a field of what was sent, by its path there. */
  messageFor(field: string): string | undefined {
    return this.errors.find((each) => each.field === field)?.message;
  }

  /** Reads a refusal, whether it is a problem or API Gateway's own `{"message": …}`. */
  static async from(response: Response): Promise<ApiError> {
    const text = await response.text().catch(() => "");
    const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
    let body: Partial<ProblemBody> & { message?: string } = {};
    try {
      const read: unknown = JSON.parse(text);
      if (read && typeof read === "object") body = read;
    } catch {
      // Not JSON: a gateway's page. The status says enough.
    }
    const title = body.title ?? body.message ?? (response.statusText || `HTTP ${response.status}`);
    return new ApiError(
      {
        ...body,
        type: body.type ?? "about:blank",
        title,
        status: response.status,
        detail: body.detail ?? title,
        code: body.code ?? CODES[response.status] ?? "http_error",
      },
      Number.isFinite(seconds) ? seconds : null,
    );
  }

  /** Wraps what `fetch` throws where there is no answer at all. */
  static network(cause: unknown): ApiError {
    const error = new ApiError({
      type: "about:blank",
      title: "No answer",
      status: 0,
      detail: "The API does not answer. Is the network there?",
      code: "network_error",
    });
    error.cause = cause;
    return error;
  }
}

/** What API Gateway refuses by itself. */
const CODES: Record<number, string> = {
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  413: "payload_too_large",
  429: "rate_limited",
};
