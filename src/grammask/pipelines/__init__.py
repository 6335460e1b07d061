"""Pipelines of transformers for guided models: importing this module registers their tasks, `guided-...`."""

from .guided_tasks import register

register()
