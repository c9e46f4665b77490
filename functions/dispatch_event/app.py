"""Consumer of the events queue: deliveries become executions."""

from integrations.entry.queue import dispatch

handler = dispatch
