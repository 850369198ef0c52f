"""The generator, a conditional GAN; the only package that trains in PyTorch."""

import sys
from types import ModuleType

# TensorBoard loads TensorFlow to write its files, unless a module of this name exists
# (tensorboard/compat). Its own writer does as well, and no process should load both frameworks.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
