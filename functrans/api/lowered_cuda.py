"""A function for arguments of some types on a GPU: its kernels in CUDA C++, and what NVRTC makes of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NoReturn

from ..compiler.assembly import Assembled
from ..compiler.backends.cuda.encoding import Encoder
from ..compiler.backends.cuda.launches import NAME
from ..compiler.backends.cuda.nvrtc import cubin, ptx
from ..compiler.backends.cuda.program import Layout, bound, computed_part
from ..compiler.program import fused_for_gpu, program_for_gpu
from ..errors import UnsupportedArgumentError
from .devices import check_gpu
from .lowered import Compiled, Lowered, Text

#: The multiprocessors that launches are made for, as there need not be a GPU: those of an H100.
PROCESSORS = 132


class LoweredForCuda(Lowered):
    """What `jit(f).lower(x, backend="cuda")` returns. Nothing of it needs a GPU; `cubin` and `ptx` need NVRTC."""

    @property
    def cuda(self) -> Text:
        """The kernels in CUDA C++. Before them NVRTC gets what `prelude` says."""
        return Text(self._encoder.listing())

    @property
    def prelude(self) -> Text:
        """The types and functions that kernels are written with, in CUDA C++."""
        return Text(self._encoder.prelude)

    def cubin(self, architecture: str = "sm_90") -> bytes:
        """The machine code of the kernels, as an ELF file, for an architecture: "sm_90" for one.

        Raises:
            MissingPackageError: NVRTC is not installed.
        """
        return cubin(self._encoder.source, architecture)

    def ptx(self, architecture: str = "sm_90") -> Text:
        """The kernels in NVIDIA's assembly, before it is one for an architecture."""
        return Text(ptx(self._encoder.source, architecture))

    def compile(self) -> Compiled:
        """The function, compiled for arguments of these types on the first GPU.

        Raises:
            DeviceUnavailableError: there is no GPU.
        """
        check_gpu()
        return Compiled(self.function, self.signature, self._rebuild, program_for_gpu(self.jaxpr, 0, self.donated))

    @property
    def kernels_in_cuda(self) -> list[Text]:
        """The text of each kernel alone."""
        return [Text(text.replace(NAME, name)) for name, text in self._encoder.functions.items()]

    @cached_property
    def _encoder(self) -> Encoder:
        layouts = [None if own is None else Layout(own, True) for own in self._strides]
        computed = computed_part(self.jaxpr, fused_for_gpu, self.donated)
        return bound(computed, fused_for_gpu, layouts, PROCESSORS, self.donated)

    @cached_property
    def _assembled(self) -> Assembled:
        return self._encoder.assembled

    @property
    def _native(self) -> NoReturn:
        raise UnsupportedArgumentError(
            f"`{self.name}` was lowered for a GPU, where there is no LLVM IR and nothing to measure without running.",
            "What there is: jaxpr, simplified, kernels, cost, memory, cuda, ptx and cubin.",
            'Leave out backend="cuda" to look at the program for the CPU.',
        )

    def profile(self, *args: Any, **kwargs: Any) -> Any:
        """Not to be had without running: raises UnsupportedArgumentError."""
        return self._native
