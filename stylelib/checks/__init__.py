"""Checks of the course's exercises: each takes the learner's function and says whether it is right.

    checks.gram_matrix(my_gram_matrix)     prints a verdict, or raises an error that names the mistake
    checks.keep(my_gram_matrix)            saves it to my_stylelib.py, once it has passed
    checks.mine("gram_matrix")             the saved function, or the reference in its place

With STYLELIB_STRICT=1 in the environment, an exercise that was not attempted is an error too. Every exercise of the
files below is a name of this module: `checks.EXERCISES` lists them.
"""

from . import content, control, distillation, features, film, gram, hidden, loop, photo, pixels
from .core import EXERCISES, Exercise, Mistake, NotAttempted
from .keeping import keep, mine

globals().update(EXERCISES)  # each file has entered its exercises
__all__ = ["EXERCISES", "Exercise", "Mistake", "NotAttempted", "keep", "mine", *EXERCISES]
__all__ += ["content", "control", "distillation", "features", "film", "gram", "hidden", "loop", "photo", "pixels"]
