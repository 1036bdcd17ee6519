"""Plausible mistakes: name -> (task, file, old, new, part of what the test says); see trees.py."""

import importlib
import pkgutil

MODULES = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
ALL = {name: mistake for module in MODULES for name, mistake in module.MISTAKES.items()}
