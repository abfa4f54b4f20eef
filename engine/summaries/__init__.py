"""Summaries of what was said: when they are made, and how they are made without a language model."""
