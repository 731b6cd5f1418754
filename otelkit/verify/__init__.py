"""Verdicts on what was generated, from the tools that will read it."""
