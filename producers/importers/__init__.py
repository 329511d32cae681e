"""Importers: files become events. One module a source, one pipeline for all of them.

read -> clean -> check -> spool, grouped by order -> publish -> report. A source says what its
columns are and which events its rows make; the rest is the same for all.

Importing again is harmless, because every id follows from the file's content:
- the same file: its import is done, all rows are skipped; after a kill it goes on at its cursor;
- a longer export: orders and adjustments that are known are dropped by the folds, new ones
  count, and of the opening stock only what is lacking is received;
- an order that says something else than before: orders do not change, so the order fold keeps
  the first and puts the other into `dead-letters` (`order_conflict`). That is also so for the
  last order of an export that was cut in the middle of it.
"""
