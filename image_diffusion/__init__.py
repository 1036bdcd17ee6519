"""Task 2: images.

You write `scheduler.py`, `ddpm.py` and `inpainting.py`; the other modules are given. With
COURSE=DIR in the environment the modules in DIR/image_diffusion come first, so that
COURSE=solutions runs everything on the reference.
"""

import os
from pathlib import Path

_course = os.environ.get("COURSE")
if _course:
    _folders = [root / _course for root in (Path.cwd(), Path(__file__).parents[1])]
    _found = [str(folder / "image_diffusion") for folder in _folders if folder.is_dir()]
    if not _found:
        raise SystemExit(  # a mistake on the command line, not one in the code
            f"COURSE={_course}: there is no folder {_folders[0]}; name a folder that holds "
            f"image_diffusion/."
        )
    __path__.insert(0, _found[0])
