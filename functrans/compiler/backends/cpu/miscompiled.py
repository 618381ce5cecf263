"""Machine code that LLVM has possibly got wrong, and what to compile it without."""

from __future__ import annotations

import re

#: Since LLVM 22, the signs of a vector that go by way of a mask to a general register (`vpmovd2m`, `kmovd`) are read
#: at once, by an instruction from the time before AVX-512 (`vmovmskps`). That one knows of 16 vector registers only: of
#: `xmm16` it reads the signs of `xmm0`. And the mask is gone even if it is needed once more. (Issues 191304 and 198197
#: of the LLVM project.)
FIRST = (22,)
#: These instructions, `vmovmskps`, `vmovmskpd` and `vpmovmskb`, as they are encoded. In code for AVX-512 there are
#: hardly any others of them: one object in two thousand has any.
SIGNS = re.compile(
    rb"(?:\xc5|\xc4[\x01\x21\x41\x61\x81\xa1\xc1\xe1])[\x78-\x7f\xf8-\xff][\x50\xd7][\xc0-\xff]"
)
#: Without these features of a processor LLVM does not know the instructions that it would replace.
WITHOUT = "-avx512dq,-avx512bw"


def is_suspect(code: bytes) -> bool:
    """Whether an object for a processor with AVX-512, made by such an LLVM, may have signs of wrong registers in it."""
    return SIGNS.search(code) is not None
