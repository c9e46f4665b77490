"""The same work done by us and by n8n, side by side: `make peers`."""
