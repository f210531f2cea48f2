"""Types of the arrays that pass between the stages."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32]
IndexArray: TypeAlias = npt.NDArray[np.int64]
# A network: float32 [B, H, W, 3], normalised → float32 [B, D].
BatchFunction: TypeAlias = Callable[[FloatArray], FloatArray]
# Classes, int64 [N]; or, of images with several labels, float32 [N, C]: 1 for each label that an image has, else 0.
Targets: TypeAlias = npt.NDArray[Any]
