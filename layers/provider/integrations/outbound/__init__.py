"""The one way out: every connection to an address that is not ours begins here."""
