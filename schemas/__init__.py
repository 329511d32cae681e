"""Every shape of data: events in motion, states in ledgers, tables at rest, and the topics."""
