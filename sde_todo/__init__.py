"""Task 1: points in the plane.

You write the modules with tasks, see README.md; the other ones are given. With COURSE=DIR in the
environment the modules in DIR/sde_todo come first, so that COURSE=solutions runs everything on the
reference. A relative DIR is looked for in the current folder, then in the course's.
"""

import os
from pathlib import Path

PACKAGES = ("sde_todo", "image_diffusion")


def put_course_first(package, path):
    """Let the modules in COURSE/`package` come before those of `path`, a package's __path__.

    A tree with only one of the packages is right: the other one then stays as it is here.
    """
    course = os.environ.get("COURSE")
    if not course:
        return
    trees = [folder / course for folder in (Path.cwd(), Path(__file__).parents[1])]
    found = [tree for tree in trees if any((tree / name).is_dir() for name in PACKAGES)]
    if not found:
        raise SystemExit(  # a mistake on the command line, not one in the code
            f"COURSE={course}: there is no folder {trees[0]} with sde_todo/ or image_diffusion/."
        )
    if (found[0] / package).is_dir():
        path.insert(0, str(found[0] / package))


put_course_first("sde_todo", __path__)
