"""E-mail by SMTP: https://www.rfc-editor.org/rfc/rfc5321."""
