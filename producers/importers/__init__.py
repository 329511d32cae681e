"""Importers: files become events. One module a source, one pipeline for all of them.

read -> clean -> validate -> spool, grouped by order -> publish -> report. A source says what its
columns are and which events its rows make; the rest is the same for all.
"""
