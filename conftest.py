"""Loads the project's own pytest plugin: which requirement is proved by which passing test."""

pytest_plugins = ("tests.requirements",)
