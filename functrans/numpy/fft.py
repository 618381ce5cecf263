"""functrans.numpy.fft: NumPy's own functions, which come back to ours (`fourier`) on traced arrays."""

from __future__ import annotations

import numpy as _np

from . import fourier as _fourier
from .protocols import register as _register

globals().update(_register(_fourier, _np.fft))
