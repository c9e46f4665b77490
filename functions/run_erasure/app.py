"""Consumer of the erasures queue: what is stored of a tenant is removed, page after page."""

from integrations.entry.queue import run_erasure

handler = run_erasure
