"""``make import``: the JSON files of the Node backend that this one replaces; docs/importing.md."""
