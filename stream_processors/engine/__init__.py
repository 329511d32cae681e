"""The transactional engine under every fold; see docs/architecture.md for how it works."""
