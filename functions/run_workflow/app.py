"""Consumer of the executions queue: executions are carried as far as they go."""

from integrations.entry.queue import run

handler = run
