"""Schedule: send executions that nobody took up in time to the runners again."""

from integrations.entry.schedule import recover_executions

handler = recover_executions
