"""Consumer of the jobs queue: long work is carried on from where it stopped."""

from integrations.entry.queue import run_job

handler = run_job
