"""Correct answers written another way: name -> [(file, old, new), ...]; see trees.py."""

import importlib
import pkgutil

MODULES = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
ALL = {name: changes for module in MODULES for name, changes in module.ALTERNATIVES.items()}
