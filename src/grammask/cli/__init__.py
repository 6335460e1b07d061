"""The command line: `grammask compare`, `grammask bench`, `grammask grammar ...`, `grammask tag`."""

from .app import main

__all__ = ["main"]
