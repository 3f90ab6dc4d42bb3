"""API keys: who may call what; docs/security.md."""
