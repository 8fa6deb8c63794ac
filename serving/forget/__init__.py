"""Forget customers: take them out of everything that was written, and say what remains."""

from serving.forget.job import Where, forget
from serving.forget.place import Place
from serving.forget.source import in_source

__all__ = ["Place", "Where", "forget", "in_source"]
