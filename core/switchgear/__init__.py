"""Switchgear: an LLM gateway built of plugins."""
