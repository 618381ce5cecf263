"""One class for each mistake a user can make.

A message has four parts: what happened, on which line of the user's code, why, and how to repair it. Each class
also derives from the built-in exception that a caller of NumPy would expect.
"""

from __future__ import annotations

from numpy.linalg import LinAlgError

from .source import Source, where


class FunctransError(Exception):
    """Base of every error raised on purpose by functrans.

    Args:
        what: one sentence, what happened.
        why: one sentence, the reason behind the rule.
        repair: what to write instead.
        source: the line at fault; by default the innermost line outside the library.
    """

    def __init__(self, what: str, why: str = "", repair: str = "", source: Source | None = None):
        self.what, self.why, self.repair = what, why, repair
        self._is_blamed = False
        super().__init__(self._text(source))

    def _text(self, source: Source | None) -> str:
        return "\n".join(part for part in (self.what, where(source), self.why, self.repair) if part)

    def blame(self, source: Source) -> None:
        """Name another line as the one at fault; of several the first, which is the innermost."""
        if not self._is_blamed:
            self.args, self._is_blamed = (self._text(source),), True


class LeakedTracerError(FunctransError, RuntimeError):
    """A traced value outlived the transformation that made it."""


class ConcretizationError(FunctransError, TypeError):
    """A Python number or truth value was wanted of a value that is not known while tracing."""


class TooManyPathsError(ConcretizationError):
    """Python code goes more ways, depending on traced values, than `functrans.config.max_paths`."""


class ConditionalExceptionError(FunctransError, RuntimeError):
    """An exception is raised or not depending on a traced value."""


class ImpureFunctionError(FunctransError, RuntimeError):
    """A function did something else when it was traced a second time with the same arguments."""


class AmbiguousTruthError(FunctransError, ValueError):
    """The truth value of an array that has not exactly one element."""


class TracerConversionError(FunctransError, TypeError):
    """A traced value was to become a plain number or NumPy array, which would lose its derivative or batch."""


class ArgumentMutationError(FunctransError, ValueError):
    """An argument of a transformed function was assigned into; functions are pure."""


class StaleViewError(FunctransError, ValueError):
    """A view was used after the array it was taken from had been assigned into."""


class ViewAssignmentError(FunctransError, ValueError):
    """An assignment into a view that cannot be written through to its base."""


class ForeignAssignmentError(FunctransError, ValueError):
    """A traced array was assigned into while another transformation was tracing."""


class NonScalarOutputError(FunctransError, TypeError):
    """The gradient of a function whose output is not one real scalar."""


class NonDifferentiableError(FunctransError, TypeError):
    """A derivative with respect to, or of, something that has none (integers, booleans, objects)."""


class PytreeMismatchError(FunctransError, TypeError):
    """Two pytrees that should have the same structure differ."""


class ShapeMismatchError(FunctransError, ValueError):
    """Two shapes that should agree differ."""


class ConvolutionError(FunctransError, ValueError):
    """Strides, padding, dilation, groups or layout of a convolution do not fit its operands."""


class EinsumNotationError(FunctransError, ValueError):
    """The subscripts of an einsum are no such notation, or do not fit its operands."""


class MatrixShapeError(FunctransError, LinAlgError):
    """An operand of linear algebra is no matrix, or not a square one, or has the wrong size."""


class DtypeMismatchError(FunctransError, TypeError):
    """Two dtypes that should agree differ."""


class MappedAxisError(FunctransError, ValueError):
    """The mapped axes of vmap are missing, out of range or of different sizes."""


class UnboundAxisError(FunctransError, NameError):
    """A collective named an axis that no enclosing vmap binds."""


class StaticArgumentError(FunctransError, TypeError):
    """A static argument of jit is not hashable, or is an array."""


class ArgumentIndexError(FunctransError, ValueError):
    """argnums, static_argnums and the like name an argument that is not there."""


class UnsupportedDtypeError(FunctransError, TypeError):
    """A value is not an array of booleans, integers, floats or complex numbers."""


class IntegerRangeError(FunctransError, OverflowError):
    """A Python integer met an array of a dtype that has no such number."""


class NaNError(FunctransError, FloatingPointError):
    """With `config.debug_nans`: an operation gave NaN though none of its operands has it."""


class UnknownFunctionError(FunctransError, TypeError):
    """A NumPy function that functrans does not trace."""


class ForeignAttributeError(FunctransError, AttributeError):
    """An attribute that arrays of JAX or PyTorch have, and NumPy's have not."""


class UnsupportedArgumentError(FunctransError, TypeError):
    """A NumPy function was traced with an argument that cannot be honoured."""


class CarryMismatchError(FunctransError, TypeError):
    """The carry of a loop changes its structure, a shape or a dtype from one step to the next."""


class BranchMismatchError(FunctransError, TypeError):
    """The branches of a cond, switch or Python `if` return different structures, shapes or dtypes."""


class ConditionError(FunctransError, TypeError):
    """What decides about a loop or a branch is not a boolean (or, for switch, integer) scalar."""


class ScanLengthError(FunctransError, ValueError):
    """The number of steps of a loop is missing, negative, no integer, or not the same for all arrays."""


class TimesError(FunctransError, ValueError):
    """Times given to a solver are no vector, or not in order."""


class SolverOptionError(FunctransError, ValueError):
    """A solver was asked for a method or an option that it does not have, or not while tracing."""


class SolverError(FunctransError, RuntimeError):
    """A solver gave up before it had a solution."""


class TransposeError(FunctransError, TypeError):
    """A function to be transposed is not linear in the given arguments."""


class CallbackError(FunctransError, TypeError, ValueError):
    """A callback returned something else than it declared, or cannot be batched; or a format is not one for values."""


class ScalarFunctionError(FunctransError, TypeError):
    """A function of numbers cannot be compiled, or be run where it is called, or its description is incomplete."""


class CustomRuleError(FunctransError, TypeError):
    """A custom derivative rule is missing, or returned the wrong structure, shape or dtype."""


class CheckpointPolicyError(FunctransError, TypeError):
    """A checkpoint policy is no function that says yes or no, or the name of a value no text."""


class OutOfBoundsError(FunctransError, IndexError):
    """An index points outside its array."""


class InvalidIndexError(FunctransError, IndexError):
    """What stands in the brackets of `x[...]` is no index, or has too many entries."""


class TracedMaskError(FunctransError, IndexError):
    """A boolean mask whose elements are not known while tracing was used to select elements."""


class InvalidKeyError(FunctransError, TypeError):
    """A random key is not a uint32 array whose last axis has two elements."""


class InvalidShapeError(FunctransError, TypeError, ValueError):
    """A shape is not an integer or a sequence of integers, or one of them is negative."""


class RandomParameterError(FunctransError, ValueError):
    """A parameter of a random distribution lies outside its domain."""


class MissingPackageError(FunctransError, ImportError):
    """A package is not installed that only this part of functrans needs."""


class OutOfMemoryError(FunctransError, MemoryError):
    """There is no room for a result or for the temporary values of a compiled function."""


class DeviceMismatchError(FunctransError, TypeError):
    """Arrays of the host and of a GPU, or of two GPUs, meet in one operation or call."""


class DeviceUnavailableError(FunctransError, RuntimeError):
    """A GPU was asked for, and there is none, or what is needed to use it is missing."""


class DeviceFunctionError(FunctransError, NotImplementedError):
    """An operation that cannot be done on a GPU outside compiled functions: CuPy lacks it."""


class CudaCompilationError(FunctransError, RuntimeError):
    """NVRTC, which compiles kernels for GPUs, refuses a text or fails."""


class DeviceError(FunctransError, RuntimeError):
    """Something failed on a GPU; the message has CUDA's own name and text for it."""


class NativeCompilationWarning(UserWarning):
    """A program could not be compiled; it is interpreted instead, which gives the same results more slowly."""


class JaxprError(FunctransError, TypeError):
    """A jaxpr breaks the rules that the checker holds it to; a bug of the library, not of its user."""
