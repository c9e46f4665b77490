"""The console and the documentation, as `make build` put them beside this file. No token.

GET /, GET /connect, GET /console/{file+}: the page, whose script knows the places below it, and
what it is made of. GET /docs, GET /docs/{file+}: the documentation's pages.
"""

from pathlib import Path

from integrations.entry.site import Site

handler = Site(Path(__file__).parent / "site").answer
