"""Checks of the course's exercises: each takes the learner's function and says whether it is right.

    checks.gram_matrix(my_gram_matrix)     prints a verdict, or raises an error that names the mistake
    checks.keep(my_gram_matrix)            saves it to my_stylelib.py, once it has passed
    checks.mine("gram_matrix")             the saved function, or the reference in its place

With STYLELIB_STRICT=1 in the environment, an exercise that was not attempted is an error too.
"""

import importlib
from pathlib import Path

from .core import EXERCISES, Exercise, Mistake, NotAttempted
from .keeping import keep, mine

for _file in sorted(Path(__file__).parent.glob("*.py")):
    if not _file.stem.startswith("_"):
        importlib.import_module(f".{_file.stem}", __package__)
globals().update(EXERCISES)
__all__ = ["EXERCISES", "Exercise", "Mistake", "NotAttempted", "keep", "mine", *EXERCISES]
